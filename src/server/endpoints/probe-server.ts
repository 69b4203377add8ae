// HEALTH_PORT: the probes over plain HTTP, on a port where they need neither the API nor a client certificate.

import http from 'node:http';
import { type Handler, sendJson } from '../transport/handler.ts';
import { Http1Stream } from '../transport/http1-stream.ts';
import { closeAtOnce, listenOnAll } from '../transport/listen-on-all.ts';
import { peerOf } from '../transport/peer.ts';
import { ServerRequest } from '../transport/server-request.ts';

export type ProbeServer = { port: number; close(): void };

const TIMEOUT_MS = 10_000;
const MAX_CONNECTIONS = 64;

export async function openProbeServer(address: { host: string; port: number }, probes: Handler): Promise<ProbeServer> {
  const listening = await listenOnAll({ ...address, shared: 'HEALTH_PORT' }, () => createProbeServer(probes));
  return { port: listening.port, close: () => closeAtOnce(listening) };
}

function createProbeServer(probes: Handler): http.Server {
  const server = http.createServer((request, response) => {
    response.shouldKeepAlive = false;
    const asked = new ServerRequest(new Http1Stream(request, response, peerOf(request.socket)));
    if (!probes(asked, asked.response)) sendJson(asked.response, 404, { error: 'not found' });
  });
  server.requestTimeout = TIMEOUT_MS;
  server.headersTimeout = TIMEOUT_MS;
  server.maxConnections = MAX_CONNECTIONS;
  server.setTimeout(TIMEOUT_MS, (socket) => socket.destroy());
  return server;
}
