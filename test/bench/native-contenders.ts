// Empty unary handlers in other languages, which Verify is compared with. They are built where there is a toolchain.
import { join, resolve } from 'node:path';
import { PROGRAM_CACHE } from '../../src/dev/settings.ts';
import { build, isAtHand, type Project } from '../support/toolchain.ts';

const CACHE = join(PROGRAM_CACHE, 'bench');
const GRPC_GO = resolve(CACHE, 'grpc-go');
const TONIC = resolve(CACHE, 'tonic');

export type NativeContender = Project & { program: string };

export const GRPC_GO_SERVER: NativeContender = {
  name: 'Go',
  folder: 'test/bench/grpc-go',
  probe: ['go', 'version'],
  build: [['go', 'build', '-o', GRPC_GO, '.']],
  program: GRPC_GO,
};

export const TONIC_SERVER: NativeContender = {
  name: 'Rust',
  folder: 'test/bench/tonic',
  probe: ['cargo', '--version'],
  build: [['cargo', 'build', '--quiet', '--locked', '--release', '--target-dir', TONIC]],
  program: join(TONIC, 'release/tonic-empty-handler'),
};

/** The program, or null without the toolchain. */
export async function buildNative(contender: NativeContender): Promise<string | null> {
  if (!(await isAtHand(contender))) return null;
  await build(contender);
  return contender.program;
}
