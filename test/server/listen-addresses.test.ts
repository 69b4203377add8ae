// One port on every address of a host: a client of `localhost` may try ::1 only.
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { describe, expect, onTestFinished, test } from 'vitest';
import { freePort } from '../../src/dev/free-port.ts';
import { startTestApp } from '../support/app.ts';
import { eventually } from '../support/eventually.ts';
import { rawConnection } from '../support/raw.ts';

const hasIPv6 = Object.values(networkInterfaces())
  .flat()
  .some((one) => one?.address === '::1');

async function start(host: string | undefined) {
  const port = await freePort();
  const app = await startTestApp({ HOST: host, PORT: String(port), LISTEN_ADMIN: String(await freePort()) });
  let closing: Promise<void> | null = null;
  const close = () => (closing ??= app.close());
  onTestFinished(close);
  return { ...app, close };
}

const statusOf = (url: string) =>
  fetch(`${url}/healthz`).then(
    ({ status }) => status,
    () => 0,
  );

describe.each([['localhost'], [undefined]])('HOST=%s', (host) => {
  test('serves both ports over IPv4 and IPv6', async () => {
    const { port, adminPort } = await start(host);
    for (const address of ['127.0.0.1', ...(hasIPv6 ? ['[::1]'] : [])]) {
      expect([address, await statusOf(`http://${address}:${port}`)]).toEqual([address, 200]);
      expect([address, await statusOf(`http://${address}:${adminPort}`)]).toEqual([address, 200]);
    }
  });

  test('closes connections of every family when it stops', async () => {
    const { port, close } = await start(host);
    const addresses = ['127.0.0.1', ...(hasIPv6 ? ['::1'] : [])];
    const connections = addresses.map((address) =>
      rawConnection(port, 'GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n', address),
    );
    await eventually(() => connections.every(({ received }) => received().includes('200 OK')));
    await close();
    await Promise.all(connections.map(({ closed }) => closed));
  });
});

test('HOST=127.0.0.1 serves IPv4 only', async () => {
  const { port } = await start('127.0.0.1');
  expect(await statusOf(`http://127.0.0.1:${port}`)).toBe(200);
  expect(await statusOf(`http://[::1]:${port}`)).toBe(0);
});

test.runIf(hasIPv6)('a port that is in use on one of the addresses ends the start', async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '::1', resolve));
  onTestFinished(() => void taken.close());
  const { port } = taken.address() as { port: number };
  await expect(startTestApp({ HOST: 'localhost', PORT: String(port) })).rejects.toThrow(
    `port ${port} of localhost is in use`,
  );
});
