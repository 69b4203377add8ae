import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { processEnvironment } from '../../src/config/config.ts';
import { findProgram } from './program.ts';

const run = promisify(execFile);
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--virtual-time-budget=10000'];

/** Opens a page in Chromium, with a profile of its own. @returns the body after its scripts have run */
export async function bodyInChromium(url: string): Promise<string> {
  const names = ['chromium', 'chromium-browser', 'google-chrome'];
  const chromium = await findProgram('chromium', 'usr/lib/chromium/chromium', names);
  const profile = mkdtempSync(join(tmpdir(), 'latchkey-chromium-'));
  const libraries = chromium.libraryPath && { LD_LIBRARY_PATH: chromium.libraryPath };
  const env = { ...processEnvironment(), HOME: profile, ...libraries } as NodeJS.ProcessEnv;
  try {
    const { stdout } = await run(chromium.path, [...FLAGS, `--user-data-dir=${profile}`, '--dump-dom', url], { env });
    return /<body>(.*)<\/body>/s.exec(stdout)?.[1] ?? stdout;
  } finally {
    rmSync(profile, { recursive: true, force: true });
  }
}
