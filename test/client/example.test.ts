// The example as a stranger would run it: the package is packed as it would be published, unpacked beside what it needs, and the
// example runs on that.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SERVICE_KEY, startTestApp, type TestApp } from '../support/app.ts';
import { auth, type Caller, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { signedIn } from '../support/people.ts';
import { run } from '../support/processes.ts';

let app: TestApp;
let call: Caller;
let folder: string;

beforeAll(async () => {
  app = await startTestApp();
  call = viaFetch(app.url);
  folder = mkdtempSync(join(tmpdir(), 'latchkey-example-'));
  const modules = join(folder, 'node_modules');
  const home = join(modules, 'latchkey');
  mkdirSync(home, { recursive: true });
  for (const name of readdirSync('node_modules')) symlinkSync(resolve('node_modules', name), join(modules, name));
  const built = spawnSync('node_modules/.bin/tsc', ['-p', 'tsconfig.build.json', '--outDir', join(home, 'dist')], {
    encoding: 'utf8',
  });
  expect(built.stdout + built.stderr).toBe('');
  cpSync('package.json', join(home, 'package.json'));
  cpSync('examples/orders', join(folder, 'orders'), { recursive: true });
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await app.close();
});

test('it knows its callers, and forgets them when they sign out', async () => {
  const program = join(folder, 'orders', 'orders.ts');
  const orders = run(process.execPath, [program], { LATCHKEY_URL: app.url, LATCHKEY_KEY: SERVICE_KEY, PORT: '0' });
  const port = await eventually(() => {
    if (orders.child.exitCode !== null) throw new Error(orders.output());
    return /port (\d+)/.exec(orders.output())?.[1];
  }, 20_000);
  const url = `http://127.0.0.1:${port}/orders`;
  const person = await signedIn(call);
  const headers = { authorization: `Bearer ${person.accessToken}` };
  await fetch(url, { method: 'POST', headers });
  expect(await (await fetch(url, { headers })).json()).toEqual({ who: person.email, orders: ['order 1'] });
  expect((await fetch(url)).status).toBe(401);
  await call(auth.logout, { refreshToken: person.refreshToken });
  await eventually(async () => (await fetch(url, { headers })).status === 401, 1_000);
  orders.child.kill('SIGTERM');
  expect(await orders.ended).toBe(0);
});
