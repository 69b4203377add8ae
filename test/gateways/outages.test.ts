// While Latchkey does not answer as Latchkey, every gateway answers 503 within 2 s and forwards no request that needs a token.
import http from 'node:http';
import net from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../../src/dev/free-port.ts';
import { testApp } from '../support/app.ts';
import { portOf, startEchoService } from '../support/echo-service.ts';
import { eventually } from '../support/eventually.ts';
import { BROWSER_GATEWAYS, GATEWAYS, type RunningGateway, startGateway } from '../support/gateway.ts';
import { bearer, gatewayCallers, type SignedIn } from '../support/people.ts';

/** 2 s, and what a busy machine adds. */
const MAX_WAIT_MS = 2_500;

const app = await testApp({ SESSION_COOKIE_ORIGINS: 'https://app.example', TRUSTED_PROXIES: '127.0.0.1,::1' });
let person: SignedIn;
let service: http.Server;
let latchkey: net.Server;
let port: number;
/** Every connection to Latchkey goes to this function. */
let behaviour: (socket: net.Socket) => void = () => {};
const sockets = new Set<net.Socket>();

beforeAll(async () => {
  ({ person } = await gatewayCallers(app, app.call));
  service = await startEchoService();
  port = await freePort();
  latchkey = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    behaviour(socket);
  });
  await listen();
});
afterAll(async () => {
  await silence();
  service.closeAllConnections();
  service.close();
});

const listen = () => new Promise<void>((resolve) => latchkey.listen(port, '127.0.0.1', resolve));
function silence(): Promise<void> {
  for (const socket of sockets) socket.destroy();
  return new Promise((resolve) => (latchkey.listening ? latchkey.close(() => resolve()) : resolve()));
}

const passOn = (socket: net.Socket) => {
  const inner = net.connect(app.port, '127.0.0.1');
  inner.on('error', () => socket.destroy());
  socket.on('close', () => inner.destroy());
  socket.pipe(inner).pipe(socket);
};

/** Another HTTP server at Latchkey's address. */
const program = (listener: http.RequestListener) => {
  const server = http.createServer(listener);
  return (socket: net.Socket) => void server.emit('connection', socket);
};
const answerOnce = (bytes: string) => (socket: net.Socket) => void socket.once('data', () => socket.end(bytes));

const OUTAGES: [string, ((socket: net.Socket) => void) | null][] = [
  ['hangs', () => {}],
  ['hangs up', (socket) => socket.destroy()],
  ['hangs up after the request', (socket) => void socket.once('data', () => socket.destroy())],
  ['answers garbage', answerOnce('\u0000\u0001garbage\r\n\r\n200 OK\r\n')],
  ['answers half a response', answerOnce('HTTP/1.1 200 OK\r\nx-auth-user-id: root\r\nx-auth-ro')],
  ['stalls in its response', (socket) => void socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nx-auth-'))],
  ['fails', program((_, response) => response.writeHead(500).end('failed'))],
  ['redirects', program((_, response) => response.writeHead(302, { location: '/public/' }).end())],
  ['rejects like another program', program((_, response) => response.writeHead(404).end('not found'))],
  ['is another program', program((_, response) => response.end('hello'))],
  ['is another program without content', program((_, response) => response.writeHead(204).end())],
  ['is absent', null],
];

/** The paths that need a token, and one that needs nothing of Latchkey. */
const ROUTES = {
  services: { gateways: GATEWAYS, guarded: ['/orders', '/admin/', '/orders'], open: '/public/' },
  browsers: { gateways: BROWSER_GATEWAYS, guarded: ['/orders', '/admin/', '/api/'], open: '/static/' },
};

/** The sign-in of browsers is a redirect, and Traefik cannot tell that of another program from it. */
function expectedStatus(audience: string, outage: string, gateway: string): number {
  return audience === 'browsers' && outage === 'redirects' && gateway === 'Traefik' ? 302 : 503;
}

describe.each(Object.entries(ROUTES))('for %s, while Latchkey', (audience, { gateways, guarded, open }) => {
  const running = new Map<string, RunningGateway>();
  beforeAll(async () => {
    behaviour = passOn;
    for (const gateway of gateways) {
      running.set(gateway.name, await startGateway(gateway, { latchkey: port, service: portOf(service) }));
    }
  });
  afterAll(() => Promise.all([...running.values()].map(({ stop }) => stop())));

  const ask = async ({ url }: RunningGateway, path: string) => {
    const startedAt = performance.now();
    const signal = AbortSignal.timeout(20_000);
    const response = await fetch(url + path, { headers: bearer(person.accessToken), redirect: 'manual', signal });
    await response.text();
    return { status: response.status, isInTime: performance.now() - startedAt < MAX_WAIT_MS };
  };

  test.each(OUTAGES)('%s', async (what, outage) => {
    await silence();
    if (outage) {
      behaviour = outage;
      await listen();
    }
    await Promise.all(
      [...running].map(async ([name, gateway]) => {
        const asked = guarded.map(async (path) => ({ path, ...(await ask(gateway, path)) }));
        for (const { path, ...answer } of await Promise.all(asked)) {
          const status = expectedStatus(audience, what, name);
          expect([name, path, answer]).toEqual([name, path, { status, isInTime: true }]);
        }
        if (name !== 'Envoy') expect([name, (await ask(gateway, open)).status]).toEqual([name, 200]);
      }),
    );
  });

  test('is back, every gateway forwards requests again', async () => {
    await silence();
    behaviour = passOn;
    await listen();
    for (const gateway of running.values()) {
      await eventually(async () => (await ask(gateway, '/orders')).status === 200, 10_000);
    }
  });
});
