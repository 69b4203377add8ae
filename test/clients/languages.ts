import type { Project } from '../support/toolchain.ts';

/** A program with the commands `demo URL`, `follow URL...` and `conformance FILE`. */
export type ClientExample = Project & {
  command: string[];
  /** More than a minute without caches. */
  isSlowToBuild?: boolean;
};

export const CLIENT_EXAMPLES: ClientExample[] = [
  {
    name: 'Python',
    folder: 'examples/clients/python',
    probe: ['python3', '-c', 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))'],
    build: [
      ['python3', '-m', 'venv', '.venv'],
      ['.venv/bin/pip', 'install', '--quiet', '--require-hashes', '--requirement', 'requirements.txt'],
      ['./generate.sh'],
    ],
    command: ['.venv/bin/python', '-m', 'latchkey_example'],
  },
  {
    name: 'Java',
    folder: 'examples/clients/java',
    probe: ['mvn', '--version'],
    build: [['mvn', '--batch-mode', '--quiet', 'process-classes']],
    command: ['java', '-cp', 'target/classes:target/lib/*', 'dev.latchkey.example.Main'],
  },
  {
    name: 'Go',
    folder: 'examples/clients/go',
    probe: ['go', 'version'],
    build: [
      ['../../../node_modules/.bin/buf', 'generate', '../../../proto'],
      ['go', 'build', '-o', 'bin/latchkey', '.'],
    ],
    command: ['bin/latchkey'],
    isSlowToBuild: true,
  },
  {
    name: 'Rust',
    folder: 'examples/clients/rust',
    probe: ['cargo', '--version'],
    build: [['cargo', 'build', '--quiet', '--locked']],
    command: ['target/debug/latchkey-client'],
    isSlowToBuild: true,
  },
];
