import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { processEnvironment } from '../../src/config/config.ts';
import type { Program } from '../../src/dev/find-program.ts';
import { findProgram } from './program.ts';

const run = promisify(execFile);
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--virtual-time-budget=10000'];

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];

export function findChromium(): Promise<Program> {
  return findProgram('chromium', 'usr/lib/chromium/chromium', NAMES);
}

/**
 * Opens a page in Chromium, with a profile of its own.
 * @param flags beyond the usual ones
 * @returns the body after its scripts have run
 */
export async function bodyInChromium(url: string, flags: string[] = []): Promise<string> {
  const chromium = await findChromium();
  const profile = mkdtempSync(join(tmpdir(), 'latchkey-chromium-'));
  const libraries = chromium.libraryPath && { LD_LIBRARY_PATH: chromium.libraryPath };
  const env = { ...processEnvironment(), HOME: profile, ...libraries } as NodeJS.ProcessEnv;
  try {
    const { stdout } = await run(chromium.path, [...FLAGS, ...flags, `--user-data-dir=${profile}`, '--dump-dom', url], {
      env,
    });
    return /<body>(.*)<\/body>/s.exec(stdout)?.[1] ?? stdout;
  } finally {
    rmSync(profile, { recursive: true, force: true });
  }
}
