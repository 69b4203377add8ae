// The probes of `worker`, which has no API: /healthz and /readyz in the same form as those of `serve`.

import http from 'node:http';
import type { Build } from '../../process/release.ts';
import { sendJson } from '../transport/handler.ts';
import { listenOnAll } from '../transport/listen-on-all.ts';
import type { Readiness } from './probes.ts';

export type WorkerProbes = { port: number; close(): void };

export type WorkerProbeOptions = {
  host: string;
  port: number;
  /** When the outbox relay last began a round (monotonic, milliseconds). */
  lastTurnAt(): number;
  longestTurnMs: number;
  readiness: Readiness;
  build: Build;
};

type Routes = Record<string, (response: http.ServerResponse) => void | Promise<void>>;

const TIMEOUT_MS = 10_000;
const MAX_CONNECTIONS = 64;

export async function openWorkerProbes({ host, port, ...probed }: WorkerProbeOptions): Promise<WorkerProbes> {
  const routes: Routes = {
    '/healthz': (response) => sendLiveness(response, probed),
    '/readyz': async (response) => {
      const { ready, problems, degraded } = await probed.readiness();
      sendJson(response, ready ? 200 : 503, { status: ready ? 'ready' : 'not ready', problems, degraded });
    },
  };
  const listening = await listenOnAll({ host, port }, () => createProbeServer(routes));
  const servers = listening.servers as http.Server[];
  return {
    port: listening.port,
    close() {
      for (const server of servers) {
        server.close();
        server.closeAllConnections();
      }
    },
  };
}

function createProbeServer(routes: Routes): http.Server {
  const server = http.createServer((request, response) => {
    const path = request.url?.split('?', 1)[0] ?? '';
    const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
    response.shouldKeepAlive = false;
    if (!route) sendJson(response, 404, { error: 'not found' });
    else if (request.method === 'GET' || request.method === 'HEAD') void route(response);
    else sendJson(response, 405, { error: 'method not allowed' });
  });
  server.requestTimeout = TIMEOUT_MS;
  server.headersTimeout = TIMEOUT_MS;
  server.maxConnections = MAX_CONNECTIONS;
  server.setTimeout(TIMEOUT_MS, (socket) => socket.destroy());
  return server;
}

/** Does not check Postgres or Redis: a restart of the worker would not repair them. */
function sendLiveness(
  response: http.ServerResponse,
  { lastTurnAt, longestTurnMs, build }: Pick<WorkerProbeOptions, 'lastTurnAt' | 'longestTurnMs' | 'build'>,
): void {
  const silentMs = performance.now() - lastTurnAt();
  if (silentMs <= longestTurnMs) {
    sendJson(response, 200, { status: 'ok', ...build });
    return;
  }
  const problem = `the outbox relay has been in one round for ${Math.round(silentMs / 1000)} s`;
  sendJson(response, 503, { status: 'stuck', problems: [problem], ...build });
}
