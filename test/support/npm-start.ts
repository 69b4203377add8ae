// `npm start` in a folder and on ports of its own, and commands as a reader of the documentation pastes them.
import { spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { processEnvironment } from '../../src/config/config.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { missingPart, shellBlock, shownOutput } from './doc-blocks.ts';
import { type RunningProcess, run } from './processes.ts';

const { PATH = '', HOME = '' } = processEnvironment();

export type NpmStart = {
  home: string;
  port: number;
  mailboxPort: number;
  start(): RunningProcess;
  /** Runs the commands in one bash. @returns their output */
  paste(commands: string): string;
  /** Pastes blocks of a page into one bash and compares the output with the lines that the page shows. */
  pasteBlocks(page: string, ...titles: string[]): string;
};

export async function prepareNpmStart(): Promise<NpmStart> {
  const home = mkdtempSync(join(tmpdir(), 'latchkey-quickstart-'));
  const [port, mailboxPort] = [await freePort(), await freePort()];

  function paste(commands: string): string {
    const here = commands
      .replaceAll('localhost:8080', `localhost:${port}`)
      .replaceAll('localhost:8025', `localhost:${mailboxPort}`)
      .replaceAll('.latchkey/dev', home);
    const { stdout, stderr, status } = spawnSync('bash', ['-ec', here], {
      encoding: 'utf8',
      env: { PATH, HOME, LATCHKEY_HOME: home },
    });
    expect(status, `${here}\n${stdout}\n${stderr}`).toBe(0);
    return stdout;
  }

  return {
    ...{ home, port, mailboxPort, paste },
    start() {
      const environment = { PATH, HOME, PORT: String(port), MAILBOX_PORT: String(mailboxPort), LATCHKEY_HOME: home };
      return run('npm', ['start', '--loglevel=error'], environment, true);
    },
    pasteBlocks(page, ...titles) {
      const text = titles.map((title) => shellBlock(page, title)).join('\n');
      const output = paste(text);
      expect(missingPart(output, shownOutput(text)), output).toBeNull();
      return output;
    },
  };
}

/** @throws when the process has ended */
export function isReady({ child, output }: RunningProcess): boolean {
  if (child.exitCode !== null) throw new Error(output());
  return output().includes('Ctrl-C stops everything');
}
