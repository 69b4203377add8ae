// The package `latchkey` for operators: packed, installed into an empty project, and run by its name.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Environment, processEnvironment } from '../../src/config/config.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { auth, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { createProject, packPackages, runToEnd } from '../support/packages.ts';
import { signedIn } from '../support/people.ts';
import { run } from '../support/processes.ts';

let app: TestApp;
let folder: string;
let latchkey: string;
let environment: Environment;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'latchkey-service-package-'));
  const project = join(folder, 'project');
  const { service } = await packPackages(folder);
  [app] = await Promise.all([startTestApp(), createProject(project, [service])]);
  latchkey = join(project, 'node_modules/.bin/latchkey');
  // Its first line finds Node on PATH.
  const PATH = `${dirname(process.execPath)}:${processEnvironment().PATH}`;
  environment = { ...app.environment, PATH, PORT: '0', HEALTH_PORT: '0' };
}, 300_000);
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await app.close();
});

test('prints its version', async () => {
  expect(await runToEnd(latchkey, ['--version'], folder, environment)).toMatch(/^latchkey \d+\.\d+\.\d+/);
});

test('serves calls, hashes passwords and reads its migrations', async () => {
  const server = run(latchkey, ['serve'], environment);
  const port = await eventually(() => {
    if (server.child.exitCode !== null) throw new Error(server.output());
    return /"port":(\d+)/.exec(server.output())?.[1];
  }, 60_000);
  const call = viaFetch(`http://127.0.0.1:${port}`);
  const { accessToken } = await signedIn(call);
  expect((await call(auth.verify, { accessToken })).code).toBe('ok');
  expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(200);
  server.child.kill('SIGTERM');
  expect(await server.ended).toBe(0);
});

test.each(['dev', 'mails'])('%s explains that it runs from a clone', async (command) => {
  const { ended, output } = run(latchkey, [command], environment);
  expect(await ended).toBe(1);
  expect(output()).toContain('clone of the repository');
});
