// A deliberate bug for the self-test: a server that accepts a token forever once it has accepted it.
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

export type LyingProxy = { port: number; close(): Promise<void> };

/** @param target the port of the real server */
export async function startLyingProxy(target: number): Promise<LyingProxy> {
  const accepted = new Map<string, Buffer>();
  const server = createServer(async (incoming, outgoing) => {
    const body = await buffer(incoming);
    const key = `${incoming.url} ${body}`;
    const isVerify = incoming.url?.endsWith('/Verify') === true;
    const known = isVerify ? accepted.get(key) : undefined;
    if (known) return void outgoing.writeHead(200, { 'content-type': 'application/json' }).end(known);
    const { method = 'POST', url: path, headers } = incoming;
    const call = request({ port: target, host: '127.0.0.1', method, path, headers }, async (response) => {
      const answer = await buffer(response);
      if (isVerify && response.statusCode === 200) accepted.set(key, answer);
      const { 'transfer-encoding': _, ...others } = response.headers;
      outgoing.writeHead(response.statusCode ?? 500, others).end(answer);
    });
    call.on('error', () => outgoing.destroy());
    call.end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
