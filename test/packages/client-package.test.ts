// @latchkey/client for users: packed, installed into an empty project, type-checked and run.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { build } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { processEnvironment } from '../../src/config/config.ts';
import { SERVICE_KEY, startTestApp, type TestApp } from '../support/app.ts';
import { bodyInChromium } from '../support/chromium.ts';
import { auth, type Caller, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { createProject, installedPackages, megabytesOf, packPackages, runToEnd } from '../support/packages.ts';
import { type SignedIn, signedIn } from '../support/people.ts';
import { run } from '../support/processes.ts';

const MAX_PACKAGES = 5;
const MAX_MEGABYTES = 13;
const MAX_BUNDLE_BYTES = 200_000;

let app: TestApp;
let call: Caller;
let folder: string;
let project: string;
let person: SignedIn;

let pages: http.Server;

beforeAll(async () => {
  pages = http.createServer((request, response) => {
    const isScript = request.url === '/page.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    response.end(isScript ? readFileSync(join(project, 'bundle/page.js')) : PAGE);
  });
  await new Promise<void>((listening) => pages.listen(0, listening));
  folder = mkdtempSync(join(tmpdir(), 'latchkey-client-package-'));
  project = join(folder, 'project');
  const { client } = await packPackages(folder);
  [app] = await Promise.all([startTestApp({ CORS_ORIGINS: originOfPages() }), createProject(project, [client])]);
  call = viaFetch(app.url);
  person = await signedIn(call);
}, 180_000);
afterAll(async () => {
  pages.closeAllConnections();
  pages.close();
  rmSync(folder, { recursive: true });
  await app.close();
});

function originOfPages(): string {
  return `http://localhost:${(pages.address() as AddressInfo).port}`;
}

test('installs few packages', () => {
  expect(installedPackages(project).length).toBeLessThanOrEqual(MAX_PACKAGES);
  expect(megabytesOf(join(project, 'node_modules'))).toBeLessThan(MAX_MEGABYTES);
});

const PROGRAM = `
import { createClients, createLatchkey, AuthError, reasonOf, type TokenPrincipal } from '@latchkey/client';
import { createClients as createBrowserClients } from '@latchkey/client/browser';
import { type ErrorInfo, ErrorInfoSchema } from '@latchkey/client/google/rpc/error_details';
import { LoginRequestSchema } from '@latchkey/client/proto/auth_service';

const [url = '', serviceKey = '', email = '', password = ''] = process.argv.slice(2);
const clients = createClients({ url, serviceKey: async () => serviceKey });
const { tokens } = await clients.auth.login({ email, password });
const accessToken = tokens?.accessToken ?? '';
const { user } = await clients.forUser({ accessToken, clientAddress: '203.0.113.7' }).account.getMe({});
const page = createBrowserClients({ url, accessToken: () => accessToken });
const detail: ErrorInfo['$typeName'] = ErrorInfoSchema.typeName;
const sameUser = (await page.account.getMe({})).user?.id === user?.id && detail === 'google.rpc.ErrorInfo';
const { verdicts } = await clients.verifier.batchVerify({ accessTokens: [accessToken] });
const rejected: string | null = await clients.admin.listRoles({}).then(() => null, reasonOf);
const latchkey = createLatchkey({ url, serviceKey, whenStale: 'reject' });
await latchkey.ready();
const principal: TokenPrincipal = await latchkey.verify(accessToken);
const invalid: string | null = await latchkey.verify('x').then(() => null, (error) => (error as AuthError).reason);
console.log(JSON.stringify({
  email: user?.email, sameUser, results: verdicts.length, rejected, kind: principal.kind, invalid, type: LoginRequestSchema.typeName,
}));
latchkey.close();
clients.close();
`;
const EXPECTED = {
  sameUser: true,
  results: 1,
  rejected: 'PERMISSION_DENIED',
  kind: 'user',
  invalid: 'TOKEN_INVALID',
  type: 'latchkey.auth.v1.LoginRequest',
};

test('type-checks in strict mode, its own declarations too', async () => {
  writeFileSync(join(project, 'program.ts'), PROGRAM);
  const compilerOptions = { strict: true, module: 'nodenext', target: 'es2022', types: ['node'], skipLibCheck: false };
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['program.ts'] }));
  symlinkSync(resolve('node_modules/@types'), join(project, 'node_modules/@types'));
  symlinkSync(resolve('node_modules/undici-types'), join(project, 'node_modules/undici-types'));
  await runToEnd(resolve('node_modules/.bin/tsc'), ['-p', project]);
});

test.each([['this', process.execPath], ...olderNode()])('runs under %s Node', async (_, node) => {
  const args = [join(project, 'program.js'), app.url, SERVICE_KEY, person.email, person.password];
  expect(JSON.parse(await runToEnd(node, args))).toEqual({ ...EXPECTED, email: person.email });
});

const SERVER = `
import { createServer } from 'node:http2';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { connectInterceptor, createLatchkey, principalOfContext } from '@latchkey/client';
import { AuthService } from '@latchkey/client/proto/auth_service';

const [url, serviceKey] = process.argv.slice(2);
const latchkey = createLatchkey({ url, serviceKey });
await latchkey.ready();
const logout = (_, context) => (principalOfContext(context), {});
const routes = (router) => router.service(AuthService, { logout });
const server = createServer(connectNodeAdapter({ routes, interceptors: [connectInterceptor(latchkey)] }));
server.listen(0, () => console.log('port ' + server.address().port));
`;

// A gateway in front of the service may check another of them.
test.each([['this', process.execPath], ...olderNode()])(
  'rejects several credentials under %s Node',
  async (_, node) => {
    writeFileSync(join(project, 'server.js'), SERVER);
    const server = run(node, [join(project, 'server.js'), app.url, SERVICE_KEY], {});
    const port = await eventually(() => {
      if (server.child.exitCode !== null) throw new Error(server.output());
      return /port (\d+)/.exec(server.output())?.[1];
    }, 20_000);
    const bearer = `authorization: Bearer ${person.accessToken}`;
    const statusOf = async (...headers: string[]) => {
      const method = `http://127.0.0.1:${port}/latchkey.auth.v1.AuthService/Logout`;
      const args = ['-s', '--http2-prior-knowledge', '-o', '/dev/null', '-w', '%{http_code}', '-d', '{}'];
      return runToEnd('curl', [
        ...args,
        ...['content-type: application/json', ...headers].flatMap((h) => ['-H', h]),
        method,
      ]);
    };
    expect(await statusOf(bearer)).toBe('200');
    expect(await statusOf(bearer, 'authorization: Bearer other')).toBe('401');
    expect(await statusOf(bearer)).toBe('200');
    server.child.kill();
    await server.ended;
  },
);

const PAGE = '<!doctype html><title>x</title><body>waiting</body><script type="module" src="/page.js"></script>';

/** A page of a product, in the language of its bundler. */
const pageScript = () => `
import { createClients, reasonOf, retryAfterOf, violationsOf } from '@latchkey/client/browser';
let token = '';
const { auth, account, admin } = createClients({ url: '${app.url}', accessToken: () => token });
const failure = (call) => call.then(() => 'none', (error) => error);
const seen = [];
try {
  const invalid = await failure(auth.register({ email: 'no address', password: 'x' }));
  seen.push(reasonOf(invalid), violationsOf(invalid).map(({ field }) => field).join('+'), retryAfterOf(invalid));
  seen.push(reasonOf(await failure(account.getMe({}))));
  token = (await auth.login(${JSON.stringify({ email: person.email, password: person.password })})).tokens.accessToken;
  seen.push((await account.getMe({})).user.email);
  seen.push(reasonOf(await failure(admin.listRoles({}))));
  for await (const _ of admin.streamAuditEvents({})) seen.push('an event');
} catch (error) {
  seen.push(reasonOf(error) ?? String(error));
}
document.body.textContent = seen.join(' ');
`;

test('a page that a bundler has built calls from Chromium', async () => {
  writeFileSync(join(project, 'page.js'), pageScript());
  const output = { entryFileNames: 'page.js' };
  await build({
    root: project,
    configFile: false,
    logLevel: 'silent',
    build: { outDir: 'bundle', modulePreload: false, rolldownOptions: { input: join(project, 'page.js'), output } },
  });
  const bundle = readFileSync(join(project, 'bundle/page.js'), 'utf8');
  expect(bundle).not.toMatch(/node:|vite-browser-external|VerifierService\/|argon2/);
  expect(bundle.length).toBeLessThan(MAX_BUNDLE_BYTES);
  expect(await bodyInChromium(originOfPages())).toBe(
    `INVALID_ARGUMENT email+password+full_name  CREDENTIALS_MISSING ${person.email} PERMISSION_DENIED PERMISSION_DENIED`,
  );
}, 120_000);

test('the example of a service runs on it', async () => {
  cpSync('examples/orders', join(project, 'orders'), { recursive: true });
  const program = join(project, 'orders', 'orders.ts');
  const orders = run(process.execPath, [program], { LATCHKEY_URL: app.url, LATCHKEY_KEY: SERVICE_KEY, PORT: '0' });
  const port = await eventually(() => {
    if (orders.child.exitCode !== null) throw new Error(orders.output());
    return /port (\d+)/.exec(orders.output())?.[1];
  }, 20_000);
  const url = `http://127.0.0.1:${port}/orders`;
  const headers = { authorization: `Bearer ${person.accessToken}` };
  await fetch(url, { method: 'POST', headers });
  expect(await (await fetch(url, { headers })).json()).toEqual({ who: person.email, orders: ['order 1'] });
  expect((await fetch(url)).status).toBe(401);
  await call(auth.logout, { refreshToken: person.refreshToken });
  await eventually(async () => (await fetch(url, { headers })).status === 401, 1_000);
  orders.child.kill('SIGTERM');
  expect(await orders.ended).toBe(0);
});

/** Each older release of Node on PATH that the package supports. Without one, those cases do not run. */
function olderNode(): [name: string, path: string][] {
  const found = (processEnvironment().PATH ?? '').split(delimiter).flatMap((path): [string, string][] => {
    const program = join(path, 'node');
    const { stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' });
    const major = Number(/^v(\d+)/.exec(stdout ?? '')?.[1] ?? 0);
    return major >= 20 && major < 24 ? [[(stdout ?? '').trim(), program]] : [];
  });
  return [...new Map(found).entries()].slice(0, 1);
}
