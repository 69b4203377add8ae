// h2spec, a conformance suite of HTTP/2: github.com/summerwind/h2spec, which Go builds with the program in test/h2spec.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { GO_PROGRAMS } from './program.ts';
import type { Project } from './toolchain.ts';

const run = promisify(execFile);
const PROGRAM = join(GO_PROGRAMS, 'h2spec');

export const H2SPEC: Project = {
  name: 'Go',
  folder: 'test/h2spec',
  // Fails for a Go that is older than the module requires.
  probe: ['go', 'list', '-C', 'test/h2spec', '-m'],
  build: [['go', 'build', '-buildvcs=false', '-o', PROGRAM, '.']],
};

export type H2specResult = {
  /** Such as `http2/5.1/2`: the suite, the section and the number of the case. */
  id: string;
  section: string;
  description: string;
  requirement: string;
  outcome: 'passed' | 'failed' | 'skipped';
  /** Frames that would have passed, and the one that arrived. Empty for a case that passed. */
  expected: string[];
  actual: string;
};

export type H2specTarget = {
  port: number;
  /** Its response to GET must have a body of at least 5 bytes, or four cases of flow control are skipped. */
  path: string;
  isTls?: boolean;
};

/** Runs all cases against a server on 127.0.0.1. The program must have been built. */
export async function runH2spec({ port, path, isTls = false }: H2specTarget): Promise<H2specResult[]> {
  const { stdout } = await run(PROGRAM, ['-port', String(port), '-path', path, `-tls=${isTls}`]);
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as H2specResult);
}

/** For the message of a test that fails. */
export function describeFailure({ id, section, description, outcome, expected, actual }: H2specResult): string {
  if (outcome === 'skipped') return `${id} (${section}) ${description}: skipped`;
  return `${id} (${section}) ${description}: expected ${expected.join(' or ')}, received ${actual}`;
}
