import { readFileSync } from 'node:fs';
import { commitOf } from './commit.ts';

export const RELEASE: string = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version;

export type Build = {
  version: string;
  /** `unknown` outside an image, a package and a checkout that have it. */
  commit: string;
};

/** @param configuredCommit LATCHKEY_COMMIT */
export function buildOf(configuredCommit: string | undefined): Build {
  return { version: RELEASE, commit: commitOf(configuredCommit) ?? 'unknown' };
}
