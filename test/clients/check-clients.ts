// The clients of examples/clients against a real Latchkey.
import { execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { processEnvironment } from '../../src/config/config.ts';
import { SERVICE_KEY, startTestApp, type TestApp, testApp } from '../support/app.ts';
import { layCable, through } from '../support/cable.ts';
import { auth, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { signedIn } from '../support/people.ts';
import { build, isAtHand, isBuilt } from '../support/toolchain.ts';
import { CLIENT_EXAMPLES, type ClientExample } from './languages.ts';

const run = promisify(execFile);
const TABLE = 'conformance/verdicts.jsonl';
/** A follower that receives messages may use data of this age. */
const MAX_STALENESS_MS = 5_000;
const BUILD_TIMEOUT_MS = 600_000;
const ID = '[0-9a-f-]{36}';

let app: TestApp;

/** The program of a client that reads tokens. It ends with the test. */
function follower({ command, folder }: ClientExample, urls: string[], key = SERVICE_KEY) {
  const [program = '', ...args] = command;
  const child = spawn(program, [...args, 'follow', ...urls], { cwd: folder, env: environment(key) });
  onTestFinished(() => void child.kill());
  let log = '';
  child.stderr.on('data', (chunk) => {
    log += chunk;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    log: () => log,
    async verdict(token: string): Promise<string> {
      child.stdin.write(`${token}\n`);
      const line = await lines.next();
      if (line.done) throw new Error(`the program has ended: ${log}`);
      return line.value;
    },
  };
}

function environment(LATCHKEY_KEY: string): NodeJS.ProcessEnv {
  return { ...processEnvironment(), LATCHKEY_KEY } as NodeJS.ProcessEnv;
}

/** @param mayBuild false for a client that is tested only where it is built already */
export function checkClients(mayBuild: (example: ClientExample) => boolean): void {
  beforeAll(async () => {
    app = await testApp({ LIMIT_LOGIN_ACCOUNT: '8/60' });
  });
  describe.each(CLIENT_EXAMPLES)('$name', (example) => checkClient(example, mayBuild(example)));
}

function checkClient(example: ClientExample, mayBuild: boolean): void {
  let missing = '';
  beforeAll(async () => {
    if (!(await isAtHand(example))) missing = `${example.name} is not installed`;
    else if (mayBuild) await build(example);
    else if (!(await isBuilt(example))) missing = `${example.folder} is not built: npm run test:clients`;
  }, BUILD_TIMEOUT_MS);

  const withToolchain = (name: string, check: () => Promise<void>) =>
    test(name, { timeout: 60_000 }, async ({ skip }) => {
      if (missing !== '') skip(missing);
      await check();
    });
  const execute = (...args: string[]) => {
    const [program = '', ...before] = example.command;
    return run(program, [...before, ...args], { cwd: example.folder, env: environment(SERVICE_KEY) });
  };

  withToolchain('gives every verdict of the table', async () => {
    const cases = readFileSync(TABLE, 'utf8').trimEnd().split('\n').length;
    expect((await execute('conformance', resolve(TABLE))).stdout.trim()).toBe(`${cases} passed, 0 failed`);
  });

  withToolchain('signs in, reads errors, and verifies locally', async () => {
    const { stdout } = await execute('demo', app.url);
    const steps = [
      'signed in',
      `Verify: ${ID} holds user`,
      'CheckRole: ROLE_NOT_GRANTED',
      'Register: INVALID_ARGUMENT in email, full_name, password',
      'Login: CREDENTIALS_INVALID',
      `JWKS: ${ID}`,
      `Watch: ${ID}`,
      'Watch after Logout: TOKEN_REVOKED',
      'JWKS after Logout: accepted until exp',
      'Login: RATE_LIMITED, retry after [1-9]\\d* s',
    ];
    expect(stdout.trim()).toMatch(new RegExp(`^${steps.join('\\n')}$`));
  });

  withToolchain('rejects the token of an ended session within a second', async () => {
    const { verdict } = follower(example, [app.url]);
    const person = await signedIn(app.call);
    await eventually(async () => (await verdict(person.accessToken)) === `ok ${person.userId}`);
    await app.call(auth.logout, { refreshToken: person.refreshToken });
    await eventually(async () => (await verdict(person.accessToken)) === 'TOKEN_REVOKED', 1_000);
  });

  withToolchain('calls the server about each token when its service key is wrong', async () => {
    const { verdict, log } = follower(example, [app.url], 'a-wrong-service-key-of-some-length');
    const person = await signedIn(app.call);
    await eventually(async () => (await verdict(person.accessToken)) === `ok ${person.userId}`);
    expect(await verdict('not a token')).toBe('TOKEN_INVALID');
    await eventually(() => log().includes('TOKEN_INVALID'));
  });

  withToolchain('accepts no token on a silent connection, and resumes afterwards', async () => {
    const cable = await layCable(app.port);
    onTestFinished(() => cable.close());
    const { verdict } = follower(example, [through(app.url, cable.port)]);
    const person = await signedIn(app.call);
    await eventually(async () => (await verdict(person.accessToken)) === `ok ${person.userId}`);
    cable.mode = 'silent';
    const silentSince = performance.now();
    await app.call(auth.logout, { refreshToken: person.refreshToken });
    let lastAcceptedAt = silentSince;
    await eventually(async () => {
      const answer = await verdict(person.accessToken);
      if (answer.startsWith('ok')) lastAcceptedAt = performance.now();
      return answer === 'UNAVAILABLE';
    });
    expect(lastAcceptedAt - silentSince).toBeLessThan(MAX_STALENESS_MS);
    cable.mode = 'open';
    cable.cutAll();
    await eventually(async () => (await verdict(person.accessToken)) === 'TOKEN_REVOKED');
  });

  withToolchain('follows the next server when one stops, and is unavailable when all have stopped', async () => {
    const other = await startTestApp();
    const person = await signedIn(viaFetch(other.url));
    const { verdict } = follower(example, ['http://127.0.0.1:1', other.url]);
    await eventually(async () => (await verdict(person.accessToken)) === `ok ${person.userId}`);
    await other.close();
    await eventually(async () => (await verdict(person.accessToken)) === 'UNAVAILABLE');
    expect(await verdict('not a token')).toBe('TOKEN_INVALID');
  });
}
