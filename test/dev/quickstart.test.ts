// The first steps of a new user: `npm start`, and the commands of its banner, of the README, of the tutorial and of the administration guide.
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { processEnvironment } from '../../src/config/config.ts';
import { onPath } from '../../src/dev/find-program.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { auth, viaFetch } from '../support/clients.ts';
import { createTestRedis } from '../support/databases.ts';
import { missingPart, shellBlock, shownOutput } from '../support/doc-blocks.ts';
import { eventually } from '../support/eventually.ts';
import { isReady, prepareNpmStart } from '../support/npm-start.ts';
import { registered } from '../support/people.ts';
import { type RunningProcess, run } from '../support/processes.ts';
import { startStubbornSmtp } from '../support/smtp.ts';

const { PATH = '', HOME = '' } = processEnvironment();
const { home, port, mailboxPort, start, paste, pasteBlocks } = await prepareNpmStart();
let started: RunningProcess;

beforeAll(async () => {
  started = start();
  await eventually(() => isReady(started), 60_000);
}, 90_000);
afterAll(() => rmSync(home, { recursive: true, force: true }));

const TUTORIAL = 'docs/tutorial.md';
const ADMINISTRATION = 'docs/guides/administration.md';
/** Each of some ten commands starts npm and Node. */
const ADMINISTRATION_TIMEOUT_MS = 90_000;
const SIGN_IN = 'Register, log in, verify';

describe('npm start', () => {
  test('shows each step, and prints three commands that work as printed', () => {
    for (const step of ['Postgres', 'Redis', 'mailbox', 'schema', 'API and worker']) {
      expect(started.output()).toMatch(new RegExp(`${step} \\.\\.\\. ready \\(\\d+\\.\\d s\\)`));
    }
    const commands = started
      .output()
      .split('\n')
      .filter((line) => /^(curl|TOKEN)/.test(line));
    expect(commands).toHaveLength(3);
    const output = paste(commands.join('\n'));
    expect(output).toContain('"fullName":"Ada Lovelace"');
    expect(output).toContain('"principal":{"kind":"PRINCIPAL_KIND_USER"');
  });

  test('works with the commands of the quickstart in the README', () => {
    expect(shownOutput(shellBlock('README.md', SIGN_IN))).toContain('"principal"');
    const output = pasteBlocks('README.md', SIGN_IN);
    const answer = JSON.parse(output.trim().split('\n').at(-1) as string);
    const [, shown = ''] = /```json\n([\s\S]*?)```/.exec(readFileSync('README.md', 'utf8')) ?? [];
    expect(Object.keys(answer.principal)).toEqual(Object.keys(JSON.parse(shown).principal));
    if (onPath(['grpcurl'], PATH)) expect(pasteBlocks('README.md', 'grpcurl')).toContain('SERVING');
  });

  test(
    'is administered as the guide shows, from the first administrator to a complete audit trail',
    () => {
      const output = pasteBlocks(ADMINISTRATION, 'The first administrator, who receives a mail to set a password');
      expect(output).toContain('chief@example.com has an account');
      expect(output).toMatch(/"okResponse":.*"key": "x-auth-service",\s+"value": "billing"/s);
      expect(output).toContain('The published key signs now. Tokens of the previous key stay valid.');
      expect(output).toMatch(/ retiring .* active /s);
      expect(output).toMatch(/^HTTP\/1.1 200 OK\r$/m);
      expect(output).toMatch(/^x-auth-service: billing\r$/m);
      expect(output).toMatch(/^x-auth-roles: invoices,user\r$/m);
      expect(output).toContain('service_token_issued');
      expect(output).toContain('the audit trail is whole');
      const help = pasteBlocks(ADMINISTRATION, 'A user who cannot sign in, and the limits');
      expect(help).toMatch(/^email +chief@example\.com$/m);
      const factors = pasteBlocks(ADMINISTRATION, 'The factors of a user, with their IDs');
      expect(factors).toMatch(/^recovery_codes_left +0$/m);
      const policy = pasteBlocks(ADMINISTRATION, 'Administrators must add a factor within a week');
      expect(policy).toMatch(/^grace_seconds +604800$/m);
      pasteBlocks(ADMINISTRATION, 'A role for a service');
      expect(paste('npm run -s latchkey -- services list --json --dev')).toContain('latchkey.roles.read');
    },
    ADMINISTRATION_TIMEOUT_MS,
  );

  test('works with the tutorial, command by command', async () => {
    const titles = [
      SIGN_IN,
      'The account, a role, and the next tokens',
      'As a service',
      'Sign out',
      'Reset the password',
    ];
    const output = paste(titles.map((title) => shellBlock(TUTORIAL, title)).join('\n'));
    expect(output).toMatch(/"verdicts": \[.*"principal".*REASON_TOKEN_INVALID/s);
    expect(output).toContain('TOKEN_REVOKED');
    expect(output).toContain('"fullName":"Grace Hopper"');
    expect(output).toContain('"email":"grace@example.com","roles":["user"]');
    expect(output).toContain('"allowed": true');
    expect(output).toContain('REASON_ROLE_NOT_GRANTED');
    expect(output).toMatch(/"refreshToken": "lkr_/);
    await eventually(() => /mail to grace@example\.com: Set a new password\n.*#token=lkp_/.test(started.output()));
    const login = paste(shellBlock(TUTORIAL, SIGN_IN).replaceAll('nanoseconds of wire', 'microseconds of wire'));
    expect(login).toContain('"principal":');
  });

  test('prints the revocation feed until Ctrl-C', () => {
    const watch = shellBlock(TUTORIAL, 'Watch').replace('npx buf', 'timeout 5 npx buf');
    expect(paste(`{ ${watch.trim()}; } || test $? = 124`)).toContain('"keysChanged"');
  });

  test('serves the example of the tutorial, which the client library guide repeats', async () => {
    const [start, call] = ['Start the example service', 'Call the example service'] as const;
    for (const title of [start, call]) {
      expect(shellBlock('docs/guides/client-library.md', title)).toBe(shellBlock(TUTORIAL, title));
    }
    const examplePort = await freePort();
    const environment = { PATH, HOME, PORT: String(examplePort), LATCHKEY_URL: `http://localhost:${port}` };
    const commands = shellBlock(TUTORIAL, start).replaceAll('.latchkey/dev', home);
    const example = run('bash', ['-ec', commands], environment, true);
    await eventually(() => {
      if (example.child.exitCode !== null) throw new Error(example.output());
      return example.output().includes('orders on port');
    }, 90_000);
    const text = shellBlock(TUTORIAL, call);
    const output = paste(text.replace('localhost:9000', `localhost:${examplePort}`));
    expect(missingPart(output, shownOutput(text)), output).toBeNull();
    process.kill(-(example.child.pid as number), 'SIGTERM');
    await example.ended;
  }, 120_000);

  test('serves the web application of the guide, which the test before has built the client library for', async () => {
    const examplePort = await freePort();
    const environment = { PATH, HOME, PORT: String(examplePort), LATCHKEY_URL: `http://localhost:${port}` };
    const block = shellBlock('docs/guides/browser-sessions.md', 'Start the web application');
    const commands = block.replace('npm run build\n', '').replaceAll('.latchkey/dev', home);
    const example = run('bash', ['-ec', commands], environment, true);
    await eventually(() => {
      if (example.child.exitCode !== null) throw new Error(example.output());
      return example.output().includes('the web application is on');
    }, 60_000);
    expect(await (await fetch(`http://localhost:${examplePort}`)).text()).toContain('Create an account'.toLowerCase());
    process.kill(-(example.child.pid as number), 'SIGTERM');
    await example.ended;
  }, 90_000);

  test('shows mails in a browser', async () => {
    const mailbox = `http://localhost:${mailboxPort}`;
    const list = await (await fetch(mailbox)).text();
    expect(list).toContain('grace@example.com');
    const [, page] = /href="(\/mails\/\d+)"/.exec(list) ?? [];
    expect(await (await fetch(mailbox + page)).text()).toContain('all mails');
    expect((await fetch(`${mailbox}//`)).status).toBe(404);
  });

  test('serves the pages behind the links of mails, and a page that shows what runs', async () => {
    const url = `http://localhost:${port}`;
    await eventually(() => started.output().includes(`${url}/reset-password#token=lkp_`));
    const page = await fetch(`${url}/reset-password`);
    expect(await page.text()).toContain('ConfirmReset');
    const home = await (await fetch(url)).text();
    for (const part of ['latchkey.auth.v1.AuthService', `http://localhost:${mailboxPort}`, '/oauth/introspect']) {
      expect(home).toContain(part);
    }
    const paths = [...home.matchAll(/href="(\/[^"]+)"/g)].map(([, path]) => path);
    expect(paths).toContain('/.well-known/openid-configuration');
    for (const path of paths) expect((await fetch(url + path)).status, path).toBe(200);
    expect(started.output()).toContain(`${url}/ shows what runs`);
  });

  test('does not run twice on the same data', async () => {
    const second = start();
    expect(await second.ended).toBe(1);
    expect(second.output()).toContain('stop the other "npm start"');
  });

  test('stops with everything it started, and starts again in seconds with the same data', async () => {
    const children = descendants(started.child.pid as number);
    expect(children.length).toBeGreaterThan(3);
    process.kill(-(started.child.pid as number), 'SIGINT');
    await started.ended;
    await eventually(() => children.filter(isAlive).length === 0, 5_000);
    expect(started.output()).toContain('stopping ...');

    const again = start();
    const startedAt = performance.now();
    await eventually(() => isReady(again), 30_000);
    expect(performance.now() - startedAt).toBeLessThan(15_000);
    const login = paste(shellBlock(TUTORIAL, SIGN_IN).replaceAll('nanoseconds of wire', 'microseconds of wire'));
    expect(login).toContain('EMAIL_TAKEN');

    // A killed process leaves no process behind either.
    const orphans = descendants(again.child.pid as number);
    const node = orphans.find((pid) => /main\.ts/.test(commandOf(pid)) && !/bootstrap/.test(commandOf(pid)));
    process.kill(node as number, 'SIGKILL');
    await eventually(() => orphans.filter(isAlive).length === 0, 10_000);
  });
});

describe('npm start with existing servers', () => {
  test('uses the configured Postgres, Redis and SMTP server, and starts none', async () => {
    const own = mkdtempSync(join(tmpdir(), 'latchkey-own-'));
    const database = new URL(inject('postgresUrl'));
    database.pathname = `/own_${Date.now()}`;
    const smtp = await startStubbornSmtp(() => 250);
    const [ownPort, redisUrl] = [await freePort(), await createTestRedis()];
    const environment = { PATH, HOME, LATCHKEY_HOME: own, PORT: String(ownPort) };
    const given = { DATABASE_URL: database.href, REDIS_URL: redisUrl, SMTP_URL: smtp.url };
    const running = run('npm', ['start', '--loglevel=error'], { ...environment, ...given }, true);
    await eventually(() => isReady(running), 30_000);
    expect(running.output()).not.toMatch(/(Postgres|Redis|mailbox) \.\.\./);
    const call = viaFetch(`http://localhost:${ownPort}`);
    const person = await registered(call);
    await call(auth.requestReset, { email: person.email });
    await eventually(() => smtp.delivered.find(({ to }) => to === person.email));
    process.kill(-(running.child.pid as number), 'SIGINT');
    await running.ended;
    await smtp.close();
    rmSync(own, { recursive: true, force: true });
  });

  test.each([
    ['PORT', 'localhost'],
    ['METRICS_PORT', 'localhost'],
    ['MAILBOX_PORT', '127.0.0.1'],
  ])('finds %s in use before it starts anything', async (key, host) => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port: takenPort } = taken.address() as AddressInfo;
    const fresh = mkdtempSync(join(tmpdir(), 'latchkey-port-'));
    const environment = { PATH, HOME, LATCHKEY_HOME: fresh, PORT: '0', MAILBOX_PORT: '0', [key]: String(takenPort) };
    const running = run('npm', ['start', '--loglevel=error'], environment, true);
    expect(await running.ended).toBe(1);
    expect(running.output()).toContain(
      `port ${takenPort} of ${host} is in use: stop the program that listens there, or set ${key} to a free port\n`,
    );
    expect(running.output()).not.toContain('Postgres ...');
    expect(readdirSync(fresh)).toEqual([]);
    taken.close();
    rmSync(fresh, { recursive: true });
  });

  test('prints one sentence about an invalid URL', async () => {
    const wrong = run(
      'npm',
      ['start', '--loglevel=error'],
      { PATH, HOME, LATCHKEY_HOME: home, DATABASE_URL: 'foo' },
      true,
    );
    expect(await wrong.ended).toBe(1);
    expect(wrong.output()).toContain('DATABASE_URL must be a URL that begins with postgres:// or postgresql://');
    expect(wrong.output()).not.toMatch(/^ +at /m);
  });
});

function descendants(pid: number): number[] {
  const { stdout } = spawnSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' });
  const parents = stdout
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number) as [number, number]);
  const below = (parent: number): number[] =>
    parents.filter(([, of]) => of === parent).flatMap(([child]) => [child, ...below(child)]);
  return below(pid);
}

function commandOf(pid: number): string {
  return spawnSync('ps', ['-o', 'args=', '-p', String(pid)], { encoding: 'utf8' }).stdout;
}

function isAlive(pid: number): boolean {
  const { stdout } = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' });
  return stdout.trim() !== '' && !stdout.startsWith('Z');
}
