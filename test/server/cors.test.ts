// Web pages of allowed and of other origins: preflight requests and responses, and a real page in a real Chromium.
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { readConfig } from '../../src/config/config.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { bodyInChromium } from '../support/chromium.ts';
import { viaFetch } from '../support/clients.ts';
import { type SignedIn, signedIn } from '../support/people.ts';

let app: TestApp;
let person: SignedIn;
/** Two servers of the same page. One origin is allowed. */
let pages: http.Server[];
const originOf = (n: number) => {
  const { port } = (pages[n] as http.Server).address() as AddressInfo;
  return `http://localhost:${port}`;
};

beforeAll(async () => {
  pages = await Promise.all(
    [0, 1].map(async () => {
      const server = http.createServer((_, response) => {
        response.setHeader('content-type', 'text/html');
        response.end(page());
      });
      await new Promise<void>((resolve) => server.listen(0, resolve));
      return server;
    }),
  );
  app = await startTestApp({ CORS_ORIGINS: `https://app.example, ${originOf(0)}` }, { api: true, worker: false });
  person = await signedIn(viaFetch(app.url));
});
afterAll(async () => {
  for (const server of pages) {
    server.closeAllConnections();
    server.close();
  }
  await app.close();
});

const LOGIN = '/latchkey.auth.v1.AuthService/Login';
const VERIFY = '/latchkey.auth.v1.AuthService/Verify';

function preflight(origin: string, path = LOGIN) {
  const headers = { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' };
  return fetch(app.url + path, { method: 'OPTIONS', headers });
}

test('an allowed origin may call, with the headers of Connect and gRPC-Web', async () => {
  const response = await preflight('https://app.example');
  expect(response.status).toBe(204);
  const headers = Object.fromEntries(response.headers);
  expect(headers).toMatchObject({
    'access-control-allow-origin': 'https://app.example',
    'access-control-allow-methods': 'POST, GET',
    'access-control-max-age': '7200',
    vary: 'Origin',
  });
  for (const name of ['content-type', 'connect-protocol-version', 'x-grpc-web', 'grpc-timeout', 'authorization']) {
    expect(headers['access-control-allow-headers']?.toLowerCase().split(', ')).toContain(name);
  }
  expect(headers['access-control-allow-credentials']).toBeUndefined();
  // A page must not hold the key of a service.
  expect(headers['access-control-allow-headers']).not.toMatch(/x-service-key|x-client-/i);
});

test.each([
  'https://evil.example',
  'https://app.example.evil.example',
  'http://app.example',
  'null',
  'https://APP.example',
])('the origin %s may not', async (origin) => {
  for (const response of [
    await preflight(origin),
    await fetch(app.url + VERIFY, {
      method: 'POST',
      headers: { origin, 'content-type': 'application/json' },
      body: '{}',
    }),
  ]) {
    expect(response.headers.has('access-control-allow-origin')).toBe(false);
    expect(response.headers.get('vary')).toBe('Origin');
  }
});

test('a page can read responses and errors, also those of the fast path', async () => {
  for (const body of [{ accessToken: person.accessToken }, { accessToken: 'x' }, {}]) {
    const headers = { origin: 'https://app.example', 'content-type': 'application/json' };
    const response = await fetch(app.url + VERIFY, { method: 'POST', headers, body: JSON.stringify(body) });
    expect(response.headers.get('access-control-allow-origin')).toBe('https://app.example');
    expect(response.headers.get('access-control-expose-headers')).toMatch(/grpc-status.*x-request-id/i);
  }
});

test('without allowed origins there are no CORS headers', async () => {
  const plain = await startTestApp({}, { api: true, worker: false });
  onTestFinished(() => plain.close());
  const response = await fetch(plain.url + LOGIN, {
    method: 'OPTIONS',
    headers: { origin: 'https://app.example', 'access-control-request-method': 'POST' },
  });
  expect([response.headers.has('access-control-allow-origin'), response.headers.has('vary')]).toEqual([false, false]);
});

test.each(['*', 'app.example', 'https://app.example/', 'https://app.example/x', 'https://*.example'])(
  '%s is no origin',
  (text) => {
    expect(() => readConfig({ ...app.environment, CORS_ORIGINS: text })).toThrow('CORS_ORIGINS');
  },
);

/** Signs in by Connect and verifies by gRPC-Web, with the browser's own means. */
function page(): string {
  return `<!doctype html><title>waiting</title><body><script type="module">
    const call = (path, type, body) => fetch(${JSON.stringify(app.url)} + path, { method: 'POST', headers: { 'content-type': type }, body });
    try {
      const login = await call('${LOGIN}', 'application/json', ${JSON.stringify(JSON.stringify({ email: person.email, password: person.password }))});
      const { tokens } = await login.json();
      const token = new TextEncoder().encode(tokens.accessToken);
      const length = [0x0a, (token.length & 127) | 128, token.length >> 7];
      const size = length.length + token.length;
      const message = new Uint8Array([0, 0, 0, size >> 8, size & 255, ...length, ...token]);
      const verify = await call('${VERIFY}', 'application/grpc-web+proto', message);
      const text = new TextDecoder().decode(await verify.arrayBuffer());
      document.body.textContent = 'signed in ' + text.includes(${JSON.stringify(person.userId)}) + ' ' + /grpc-status: ?0/.test(text);
    } catch (error) {
      document.body.textContent = 'refused: ' + error.message;
    }
  </script>`;
}

test('a page in Chromium signs in from an allowed origin, and from another it cannot', async () => {
  expect(await bodyInChromium(originOf(0))).toBe('signed in true true');
  expect(await bodyInChromium(originOf(1))).toMatch(/^refused: /);
}, 300_000);
