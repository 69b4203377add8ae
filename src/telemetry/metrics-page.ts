// The page that Prometheus reads, on a port that the public must not reach.
import http from 'node:http';
import { closeAtOnce, listenOnAll } from '../server/transport/listen-on-all.ts';

export type MetricsPage = { port: number; close(): void };

const PATH = '/metrics';
const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';
const TIMEOUT_MS = 10_000;
const MAX_CONNECTIONS = 16;

/**
 * @param read returns the text of the page. Requests that arrive together share one run.
 * @throws when the port is taken
 */
export async function startMetricsPage(
  { host, port }: { host: string; port: number },
  read: () => Promise<string>,
): Promise<MetricsPage> {
  const shared = shareRuns(read);
  const listening = await listenOnAll({ host, port }, () => createPage(shared));
  return { port: listening.port, close: () => closeAtOnce(listening) };
}

function shareRuns(read: () => Promise<string>): () => Promise<string> {
  let running: Promise<string> | null = null;
  return () => {
    running ??= read().finally(() => {
      running = null;
    });
    return running;
  };
}

function createPage(read: () => Promise<string>): http.Server {
  const server = http.createServer((request, response) => {
    const isPage = request.url?.split('?', 1)[0] === PATH;
    // One request for each connection, so that a client cannot make this process write more than the client reads.
    response.shouldKeepAlive = false;
    if (isPage && request.method === 'GET') {
      read().then(
        (text) => response.writeHead(200, { 'content-type': CONTENT_TYPE }).end(text),
        // Prometheus then reports the target as down, and not as one without values.
        () => response.writeHead(500, { 'content-type': 'text/plain' }).end('the metrics cannot be read\n'),
      );
      return;
    }
    response.writeHead(isPage ? 405 : 404, { 'content-type': 'text/plain' });
    response.end(`use GET ${PATH}\n`);
  });
  server.requestTimeout = TIMEOUT_MS;
  server.maxRequestsPerSocket = 1;
  server.maxConnections = MAX_CONNECTIONS;
  // A client may not read the response.
  server.setTimeout(TIMEOUT_MS, (socket) => socket.destroy());
  server.headersTimeout = TIMEOUT_MS;
  return server;
}
