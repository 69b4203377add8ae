// Debian's libfaketime, with which a test moves the clock of a process. The monotonic clock stays unchanged.
import { join } from 'node:path';
import type { Environment } from '../../src/config/config.ts';
import { fromDebian } from '../../src/dev/find-program.ts';
import { PROGRAM_CACHE } from '../../src/dev/settings.ts';

const LIBRARY = 'libfaketime.so.1';

async function libraryPath(): Promise<string | null> {
  const found = await fromDebian('faketime', 'usr/bin/faketime', PROGRAM_CACHE).catch(() => null);
  const folder = found?.libraryPath.split(':').find((path) => path.endsWith('/faketime'));
  return folder ? join(folder, LIBRARY) : null;
}

/** The reason why a clock cannot be moved, or null. */
export async function whyNoFaketime(): Promise<string | null> {
  return (await libraryPath()) ? null : "it needs Debian's package faketime";
}

/** @param clock such as `{ FAKETIME: '+300s' }` */
export async function withClock(clock: Environment): Promise<Environment> {
  return { LD_PRELOAD: (await libraryPath()) ?? '', FAKETIME_DONT_FAKE_MONOTONIC: '1', ...clock };
}
