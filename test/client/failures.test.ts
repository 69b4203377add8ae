// The messages of failed calls name the server and the remedy, against real servers that are not the expected one.
import http from 'node:http';
import http2 from 'node:http2';
import net, { type AddressInfo } from 'node:net';
import tls from 'node:tls';
import { Code, ConnectError } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type ClientsOptions, createClients, createLatchkey, type Metric, reasonOf } from '../../src/client/client.ts';
import { SERVICE_KEY, testApp } from '../support/app.ts';
import { type Certificates, openCertificates } from '../support/certificates.ts';
import { auth } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { signedIn } from '../support/people.ts';
import { run } from '../support/processes.ts';

const app = await testApp();
const { call } = app;

let certificates: Certificates;
let key: string;
let cert: string;
beforeAll(async () => {
  certificates = await openCertificates();
  ({ key, cert } = certificates.make('other.example', 'DNS:other.example'));
});
afterAll(() => certificates.remove());

async function portOf(server: net.Server | http2.Http2Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

const answering = (status: number) => (_: unknown, either: object) => {
  const response = either as http.ServerResponse;
  response.writeHead(status, { 'content-type': 'text/html' });
  response.end('<h1>a page</h1>');
};

type Place = () => Promise<{ url: string; tls?: ClientsOptions['tls'] }>;
const plain =
  (server: () => net.Server | http2.Http2Server): Place =>
  async () => ({
    url: `http://127.0.0.1:${await portOf(server())}`,
  });
const secure =
  (server: () => net.Server, options: () => ClientsOptions['tls'] = () => ({})): Place =>
  async () => ({
    url: `https://127.0.0.1:${await portOf(server())}`,
    tls: options() ?? {},
  });
const http1 = () => http.createServer(answering(404));
const http2Tls = () => http2.createSecureServer({ key, cert }, answering(200)) as unknown as net.Server;

test.each<[string, Place, Code, RegExp]>([
  ['a closed port', async () => ({ url: 'http://127.0.0.1:1' }), Code.Unavailable, /refused; check the port/],
  ['an unknown host', async () => ({ url: 'http://nowhere.invalid' }), Code.Unavailable, /host name/],
  ['a server of HTTP/1.1', plain(http1), Code.Unavailable, /does not answer with HTTP\/2.*proxy/],
  [
    'a program of another protocol',
    plain(() => net.createServer((socket) => socket.write('SSH-2.0-x\r\n'))),
    Code.Unavailable,
    /HTTP\/2/,
  ],
  ['a web site', plain(() => http2.createServer(answering(200))), Code.Unimplemented, /not from Latchkey/],
  [
    'a proxy without the route',
    plain(() => http2.createServer(answering(404))),
    Code.Unimplemented,
    /routes of proxies/,
  ],
  [
    'a proxy without a server behind it',
    plain(() => http2.createServer(answering(502))),
    Code.Unavailable,
    /a proxy answers with HTTP 502/,
  ],
  [
    'http:// for TLS',
    async () => ({ url: `http://127.0.0.1:${await portOf(http2Tls())}` }),
    Code.Unavailable,
    /must begin with https/,
  ],
  ['https:// without TLS', secure(http1), Code.Unavailable, /does not use TLS/],
  ['a certificate of an unknown authority', secure(http2Tls), Code.Unavailable, /set tls.ca/],
  [
    'a certificate for another host',
    secure(http2Tls, () => ({ ca: cert })),
    Code.Unavailable,
    /other names than the host/,
  ],
  [
    'TLS without HTTP/2',
    secure(
      () => tls.createServer({ key, cert, ALPNProtocols: ['http/1.1'] }),
      () => ({ ca: cert }),
    ),
    Code.Unavailable,
    /HTTP\/2/,
  ],
  [
    'a server that hangs',
    plain(() => net.createServer(() => {})),
    Code.DeadlineExceeded,
    /no answer within the deadline/,
  ],
])('%s', async (_, place, code, message) => {
  const { url, tls: tlsOptions = {} } = await place();
  const { auth: client, close } = createClients({ url, tls: tlsOptions, timeoutMs: 2_000 });
  const error = ConnectError.from(await client.verify({ accessToken: 'x' }).catch((failure) => failure));
  close();
  expect([Code[error.code], error.rawMessage]).toEqual([Code[code], expect.stringMatching(message)]);
  expect(error.rawMessage).toContain(new URL(url).origin);

  const failed = Promise.withResolvers<unknown>();
  const latchkey = createLatchkey({ url, tls: tlsOptions, serviceKey: SERVICE_KEY, onError: failed.resolve });
  await failed.promise;
  const notReady = await latchkey.ready({ timeoutMs: 1 }).catch((failure) => failure);
  latchkey.close();
  expect(notReady.reason).toBe('DEPENDENCY_UNAVAILABLE');
  expect(notReady.message).toMatch(code === Code.DeadlineExceeded ? /silent/ : message);
});

test('a program that closes its clients after a failed call goes on', async () => {
  const port = await portOf(http1());
  const program = `
    import { createClients } from './src/client/client.ts';
    for (let n = 0; n < 5; n += 1) {
      const { auth, close } = createClients({ url: 'http://127.0.0.1:${port}', timeoutMs: 1000 });
      await auth.verify({}).catch(() => {});
      close();
    }
    setTimeout(() => console.log('alive'), 300);
  `;
  const child = run(process.execPath, ['--input-type=module', '--eval', program], {});
  expect(await child.ended).toBe(0);
  expect(child.output()).toContain('alive');
});

describe('a rejected service key', () => {
  test('is named with the server and the remedy', async () => {
    const url = app.url.replace('127.0.0.1', 'user:secret@127.0.0.1');
    const errors: unknown[] = [];
    const latchkey = createLatchkey({ url, serviceKey: 'not-one-of-ours', onError: (error) => errors.push(error) });
    onTestFinished(() => latchkey.close());
    const error = await latchkey.ready().catch((failure) => failure);
    expect(error.reason).toBe('TOKEN_INVALID');
    expect(error.message).toContain(`the service key is rejected by ${app.url} (TOKEN_INVALID); it must be one of`);
    expect(String(errors[0])).toContain('rejected by');
    expect(String(errors[0]) + error.message).not.toMatch(/secret|not-one-of-ours/);
    const missing = createLatchkey({ url: app.url, onError: () => {} });
    onTestFinished(() => missing.close());
    await expect(missing.ready()).rejects.toThrow(`${app.url} requires a service key; set serviceKey`);
  });

  test('is named by each client, and the token of a user is not', async () => {
    const clients = createClients({ url: app.url, serviceKey: 'not-one-of-ours' });
    onTestFinished(() => clients.close());
    const { accessToken } = await signedIn(call);
    await expect(clients.verifier.batchVerify({ accessTokens: [] })).rejects.toThrow('the service key is rejected by');
    await expect(clients.admin.listRoles({})).rejects.toThrow('the service key is rejected by');
    const watch = async () => {
      for await (const _ of clients.verifier.watch({}));
    };
    await expect(watch()).rejects.toThrow('the service key is rejected by');
    const forUser = clients.forUser({ accessToken, clientAddress: '203.0.113.7' });
    const rejected = await forUser.account.getMe({}).catch((error) => error);
    expect([reasonOf(rejected), String(rejected)]).toEqual([
      'SERVICE_KEY_INVALID',
      expect.stringContaining('rejected by'),
    ]);
    // These concern tokens in the request.
    await expect(clients.auth.verify({ accessToken: 'x' })).rejects.not.toThrow('the service key');
    const headers = { authorization: 'Bearer x' };
    await expect(clients.account.getMe({}, { headers })).rejects.not.toThrow('the service key');
  });
});

test('forUser sends the key of the back end beside the token of its user', async () => {
  const person = await signedIn(call);
  for (const transport of [undefined, (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: '1.1' })]) {
    const clients = createClients({
      url: app.url,
      serviceKey: async () => SERVICE_KEY,
      ...(transport && { transport }),
    });
    onTestFinished(() => clients.close());
    const { accessToken } = person;
    const user = clients.forUser({ accessToken, clientAddress: '203.0.113.77', userAgent: 'phone “ÿ”' });
    expect((await user.account.getMe({})).user?.email).toBe(person.email);
    const anonymous = clients.forUser({ clientAddress: '203.0.113.78', userAgent: 'phone' });
    const { tokens } = await anonymous.auth.login({ email: person.email, password: person.password });
    expect(tokens?.accessToken).toBeTruthy();
    const { sessions } = await user.account.listSessions({});
    expect(sessions.some(({ address, userAgent }) => address === '203.0.113.78' && userAgent === 'phone')).toBe(true);
  }
});

test('metrics count verdicts, asks, reconnects and the age of the data', async () => {
  const person = await signedIn(call);
  const latchkey = createLatchkey({ url: ['http://127.0.0.1:1', app.url], serviceKey: SERVICE_KEY, onError: () => {} });
  onTestFinished(() => latchkey.close());
  const read = () => {
    const values: Record<string, number> = {};
    for (const { name, points } of latchkey.metrics()) {
      for (const { value, attributes } of points) values[[name, ...Object.values(attributes)].join(' ')] = value;
    }
    return values;
  };
  expect(read()).toMatchObject({ 'latchkey.client.following': 0, 'latchkey.client.reconnects': 0 });
  expect(Object.keys(read())).not.toContain('latchkey.client.revocation_view.age');
  await latchkey.verify(person.accessToken);
  await latchkey.ready();
  await eventually(() => read()['latchkey.client.following'] === 1);
  for (const token of [person.accessToken, 'x', person.accessToken]) await latchkey.verify(token).catch(() => {});
  await call(auth.logout, { refreshToken: person.refreshToken });
  await eventually(() =>
    latchkey.verify(person.accessToken).then(
      () => false,
      () => true,
    ),
  );
  const values = read();
  expect(values).toMatchObject({
    'latchkey.client.verdicts valid server': 1,
    'latchkey.client.verdicts TOKEN_INVALID memory': 1,
    'latchkey.client.verdicts TOKEN_REVOKED memory': 1,
    'latchkey.client.asks answered': 1,
    'latchkey.client.asks failed': 0,
    'latchkey.client.reconnects': 1,
  });
  expect(values['latchkey.client.verdicts valid memory']).toBeGreaterThanOrEqual(2);
  expect(values['latchkey.client.revocation_view.age']).toBeLessThan(5);
  expect(values['latchkey.client.token_cache.size']).toBeGreaterThan(100);
  const names = new Set(
    latchkey.metrics().map(({ name, type, unit, description }: Metric) => [name, type, unit, description].join()),
  );
  expect(names.size).toBe(6);
});

test('without onError a process warns once about a server that it cannot reach', async () => {
  const program = `
    import { createLatchkey } from './src/client/client.ts';
    const latchkey = createLatchkey({ url: 'http://127.0.0.1:1', serviceKey: 'x' });
    await latchkey.ready({ timeoutMs: 1500 }).catch((error) => console.log(error.message));
    latchkey.close();
  `;
  const child = run(process.execPath, ['--input-type=module', '--eval', program], {});
  expect(await child.ended).toBe(0);
  expect(child.output()).toMatch(/LatchkeyWarning: .*http:\/\/127.0.0.1:1 failed: the connection is refused/);
  expect(child.output().match(/LatchkeyWarning/g)).toHaveLength(1);
  expect(child.output()).toMatch(/DEPENDENCY_UNAVAILABLE: .*refused/);
});
