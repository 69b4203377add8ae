// A real Chromium: the one on PATH, or Debian's, unpacked without root privileges.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium } from 'playwright-core';
import { onTestFinished, type TestContext } from 'vitest';
import { processEnvironment } from '../../src/config/config.ts';
import { findProgram } from './program.ts';

const FLAGS = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
  ...['--disable-component-update', '--disable-sync'],
];
const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];
const WAIT_MS = 10_000;

/** A browser with an empty profile, until the end of the test. Skips the test where there is no Chromium. */
export async function openBrowser(context: TestContext): Promise<BrowserContext> {
  const program = await findProgram('chromium', 'usr/lib/chromium/chromium', NAMES).catch(() => null);
  if (!program) return context.skip('there is no Chromium on PATH or from Debian');
  const profile = mkdtempSync(join(tmpdir(), 'latchkey-chromium-'));
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath: program.path,
    args: FLAGS,
    env: { ...definedOnly(processEnvironment()), LD_LIBRARY_PATH: program.libraryPath, HOME: profile },
  });
  browser.setDefaultTimeout(WAIT_MS);
  onTestFinished(async () => {
    await browser.close();
    rmSync(profile, { recursive: true, force: true });
  });
  return browser;
}

function definedOnly(environment: Record<string, string | undefined>): Record<string, string> {
  return Object.fromEntries(Object.entries(environment).flatMap(([name, value]) => (value ? [[name, value]] : [])));
}
