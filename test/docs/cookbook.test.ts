// The cookbook as a reader types it: every command of a page, in one bash beside `npm start`, prints the output that the page shows.
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { Reason } from '../../gen/latchkey/auth/v1/errors_pb.ts';
import { type Environment, processEnvironment } from '../../src/config/config.ts';
import { onPath } from '../../src/dev/find-program.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { createTestRedis } from '../support/databases.ts';
import { missingPart } from '../support/doc-blocks.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningProcess, run } from '../support/processes.ts';
import { findProgram, GO_PROGRAMS } from '../support/program.ts';

type Tool = 'grpcurl' | 'buf curl' | 'curl' | 'shell' | 'log';
/** Commands, with the output and the exit code that the page shows below them. */
type Step = { commands: string; prints: string; exits: number };
type Block = { page: string; section: string; tool: Tool; text: string; steps: Step[] };

/** The last page starts the service again, with TLS. */
const PAGES = [
  ...['health-and-reflection', 'auth-service', 'account-service', 'verifier-service', 'gateways', 'admin-service'],
  ...['second-factors', 'oauth', 'denied-calls', 'connections'],
];
const TEXTS = new Map(PAGES.map((page) => [page, readFileSync(`docs/cookbook/${page}.md`, 'utf8')]));
const BLOCKS = [...TEXTS].flatMap(([page, text]) => blocksOf(page, text));
const TOOLS: Tool[] = ['grpcurl', 'buf curl', 'curl'];
const { PATH: ownPath = '', HOME = '' } = processEnvironment();
const PATH = [ownPath, GO_PROGRAMS].join(delimiter);
const hasGrpcurl = onPath(['grpcurl'], PATH) !== null;

let home: string;
let port: number;
let environment: Environment;
let shellEnvironment: Environment;
let server: RunningProcess;
let shell: ReturnType<typeof openShell>;

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'latchkey-cookbook-'));
  const database = new URL(inject('postgresUrl'));
  database.pathname = `/cookbook_${Date.now()}`;
  port = await freePort();
  environment = {
    ...{ PATH, HOME, LATCHKEY_HOME: home, PORT: String(port), MAILBOX_PORT: String(await freePort()) },
    ...{ DATABASE_URL: database.href, REDIS_URL: await createTestRedis(), npm_config_loglevel: 'error' },
  };
  const openssl = await findProgram('openssl', 'usr/bin/openssl');
  // npx itself takes most of a second each time. The README's commands run with the real one.
  writeFileSync(join(home, 'npx'), '#!/bin/sh\nexec node_modules/.bin/"$@"\n', { mode: 0o755 });
  shellEnvironment = {
    PATH: [home, PATH, dirname(openssl.path)].join(delimiter),
    ...{ HOME, npm_config_loglevel: 'error', LATCHKEY_HOME: home },
    ...(openssl.libraryPath && { LD_LIBRARY_PATH: openssl.libraryPath }),
  };
  await start('npm start');
}, 60_000);

afterAll(async () => {
  await stop();
  rmSync(home, { recursive: true, force: true });
});

async function start(command: string): Promise<void> {
  const started = run('bash', ['-ec', here(command)], environment, true);
  server = started;
  await eventually(() => {
    if (started.child.exitCode !== null) throw new Error(started.output());
    return started.output().includes('Ctrl-C stops everything');
  }, 40_000);
}

/** The bytes of Ctrl-C. */
async function stop(): Promise<void> {
  process.kill(-(server.child.pid as number), 'SIGINT');
  await server.ended;
}

/** With the ports and the folder of this test. */
function here(text: string): string {
  return text
    .replaceAll('localhost:8080', `localhost:${port}`)
    .replaceAll('localhost:8025', `localhost:${environment.MAILBOX_PORT}`)
    .replaceAll('.latchkey/dev', home);
}

/** One bash for all commands of a page, so that variables stay. */
function openShell() {
  const loop = [
    'exec 2>&1',
    'trap \'failures+=" $?"\' ERR',
    String.raw`while IFS= read -r -d "" commands <&3; do failures=; eval "$commands"; printf '\0%s\0' "$failures"; done`,
  ];
  const child = spawn('bash', ['-c', loop.join('\n')], {
    env: { ...shellEnvironment } as NodeJS.ProcessEnv,
    stdio: ['ignore', 'pipe', 'inherit', 'pipe'],
  });
  const [, stdout, , commandPipe] = child.stdio as unknown as [null, Readable, null, Writable];
  let received = '';
  stdout.setEncoding('utf8').on('data', (chunk: string) => {
    received += chunk;
  });
  return {
    /** @returns the output, and each exit code other than 0 */
    async type(commands: string): Promise<{ output: string; failures: number[] }> {
      received = '';
      commandPipe.write(`${commands}\0`);
      const [, output = '', failures = ''] = await eventually(() => {
        if (child.exitCode !== null) throw new Error(`the shell has ended: ${received}`);
        // A command that `timeout` has ended can print a little later.
        return /^(.*?)\0([\d ]*)\0/s.exec(received);
      }, 25_000);
      return { output, failures: failures.split(' ').filter(Boolean).map(Number) };
    },
    close: () => commandPipe.end(),
  };
}

function blocksOf(page: string, book: string): Block[] {
  let section = '';
  const found: Block[] = [];
  for (const [, heading, language, text = ''] of book.matchAll(/^#+ (.*)$|^```(.+)\n([\s\S]*?)^```$/gm)) {
    if (heading) section = heading;
    else if (language === 'sh') found.push({ page, section, tool: toolOf(text), text, steps: stepsOf(text) });
    else found.push({ page, section, tool: 'log', text, steps: [] });
  }
  return found;
}

function toolOf(text: string): Tool {
  if (/^(timeout \d )?grpcurl /m.test(text)) return 'grpcurl';
  if (/^(timeout \d )?npx buf curl /m.test(text)) return 'buf curl';
  return /\bcurl -/.test(text) ? 'curl' : 'shell';
}

/** A step ends with its `#>` lines, or with the block. */
function stepsOf(text: string): Step[] {
  return [...text.matchAll(/((?:(?!#>).*\n)+)((?:#>.*\n)*)/g)].map(([, commands = '', expected = '']) => {
    const lines = expected.split('\n').map((line) => line.slice('#> '.length));
    const exit = lines.findLast((line) => /^exit \d+$/.test(line));
    return { commands, prints: lines.filter((line) => line !== exit).join('\n'), exits: Number(exit?.slice(5) ?? 0) };
  });
}

describe('the pages', () => {
  test('are all in the list', () => {
    const files = readdirSync('docs/cookbook').filter((name) => name !== 'README.md');
    expect(files.toSorted()).toEqual(PAGES.map((page) => `${page}.md`).toSorted());
  });

  test('cover every served method with each tool', async () => {
    const shell = openShell();
    const { output } = await shell.type(here('npx buf curl --list-methods http://localhost:8080'));
    shell.close();
    const served = output.match(/^[\w.]+\/\w+$/gm) ?? [];
    expect(served.length).toBeGreaterThan(15);
    for (const method of served.filter((name) => !name.startsWith('grpc.reflection.v1alpha.'))) {
      // The tools have commands of their own for reflection.
      const words = method.startsWith('grpc.reflection.') ? /list|describe/i : new RegExp(` \\S*${method}`);
      for (const tool of TOOLS) {
        const calls = BLOCKS.filter(
          (block) => block.section === method && block.tool === tool && words.test(block.text),
        );
        expect(calls.length, `${method} with ${tool}`).toBeGreaterThan(0);
      }
    }
    const sections = BLOCKS.map(({ section }) => section).filter((section) => /^\w+\.[\w.]+\/\w+$/.test(section));
    expect(served).toEqual(expect.arrayContaining(sections));
  });

  test('have blocks that use one tool and show a response', () => {
    expect(BLOCKS.length).toBeGreaterThan(50);
    for (const { tool, text, steps } of BLOCKS) {
      if (!TOOLS.includes(tool)) continue;
      expect(
        steps.some(({ prints, exits }) => prints !== '' || exits > 0),
        text,
      ).toBe(true);
      if (tool === 'curl') expect(text).not.toMatch(/grpcurl|buf curl/);
      // A machine without grpcurl skips its blocks, so no other block may depend on them.
      if (tool === 'grpcurl') expect(text).not.toMatch(/\w+=\$\(|npx/);
      for (const { prints } of steps) expect(prints).not.toMatch(/^[.\s]+$/);
    }
  });

  test('show every error that they name, in the same section', () => {
    const sections = [...TEXTS.values()].flatMap((text) => text.split(/^#+ /m).slice(1));
    const named = sections.flatMap((section) => {
      const [, sentence = ''] = /Errors: (.*?)\.\s/s.exec(section) ?? [];
      return [...sentence.matchAll(/`([A-Z_]+)`/g)].map(([, reason = '']) => ({ section, reason }));
    });
    expect(named.length).toBeGreaterThan(15);
    for (const { section, reason } of named) {
      expect(Reason).toHaveProperty(reason);
      expect(section).toMatch(new RegExp(`^#>.*"reason":"${reason}"`, 'm'));
    }
  });
});

describe.each(PAGES)('%s', (current) => {
  beforeAll(() => {
    shell = openShell();
  });
  afterAll(() => shell.close());

  for (const { section, tool, text, steps } of BLOCKS.filter(({ page }) => page === current)) {
    test.skipIf(tool === 'grpcurl' && !hasGrpcurl)(`${section}: ${tool}`, async () => {
      if (tool === 'log') return void (await eventually(() => missingPart(server.output(), here(text)) === null));
      for (const { commands, prints, exits } of steps) {
        if (/npm start$/m.test(commands)) {
          await stop();
          await start(commands);
          continue;
        }
        const { output, failures } = await shell.type(here(commands));
        const seen = `${commands}\n${output}`;
        expect([...new Set(failures)], seen).toEqual(exits === 0 ? [] : [exits]);
        expect(missingPart(output, here(prints)), seen).toBeNull();
      }
    });
  }
});
