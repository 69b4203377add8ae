// The operator's terminal: one bash, so that functions and variables stay.
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { type Environment, processEnvironment } from '../../src/config/config.ts';
import { eventually } from '../support/eventually.ts';

type Typed = { output: string; exits: number[] };
export type Shell = { type(commands: string): Promise<Typed>; close(): void };

/** Evaluates what arrives, and prints the exit codes other than 0 between two NUL bytes. */
const LOOP = [
  'exec 2>&1',
  'trap \'failures+=" $?"\' ERR',
  String.raw`while IFS= read -r -d "" commands <&3; do failures=; eval "$commands"; printf '\0%s\0' "$failures"; done`,
].join('\n');
const COMMAND_TIMEOUT_MS = 60_000;

/** @param stubs programs that the machine of a test lacks, such as journalctl, by name: their shell scripts */
export function openShell(environment: Environment, folder: string, stubs: Record<string, string>): Shell {
  const bin = join(folder, 'bin');
  mkdirSync(bin, { recursive: true });
  for (const [name, script] of Object.entries(stubs)) {
    writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }
  const { PATH = '', HOME = '' } = processEnvironment();
  const path = [bin, dirname(process.execPath), PATH].join(delimiter);
  const child = spawn('bash', ['-c', LOOP], {
    env: { ...environment, HOME, PATH: path } as NodeJS.ProcessEnv,
    stdio: ['ignore', 'pipe', 'inherit', 'pipe'],
  });
  const [, stdout, , commandPipe] = child.stdio as unknown as [null, Readable, null, Writable];
  let received = '';
  stdout.setEncoding('utf8').on('data', (chunk: string) => {
    received += chunk;
  });
  return {
    async type(commands) {
      received = '';
      commandPipe.write(`${commands}\0`);
      const [, output = '', failures = ''] = await eventually(() => {
        if (child.exitCode !== null) throw new Error(`the shell has ended: ${received}`);
        return /^(.*?)\0([\d ]*)\0/s.exec(received);
      }, COMMAND_TIMEOUT_MS);
      return { output, exits: failures.split(' ').filter(Boolean).map(Number) };
    },
    close: () => commandPipe.end(),
  };
}
