// The page that Prometheus reads, on a port that the public must not reach.
import http from 'node:http';
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus';
import { listenOnAll } from '../server/transport/listen-on-all.ts';

const PATH = '/metrics';
const TIMEOUT_MS = 10_000;
const MAX_CONNECTIONS = 16;

/** @throws when the port is taken */
export async function startMetricsPage({ host, port }: { host: string; port: number }) {
  const reader = new PrometheusExporter({ preventServerStart: true });
  // Each worker process has its own page. node:cluster would share the port.
  const listening = await listenOnAll({ host, port, exclusive: true }, () => createPage(reader));
  const servers = listening.servers as http.Server[];
  return {
    reader,
    port: listening.port,
    close() {
      for (const server of servers) {
        server.close();
        server.closeAllConnections();
      }
    },
  };
}

function createPage(reader: PrometheusExporter): http.Server {
  const server = http.createServer((request, response) => {
    const isPage = request.url?.split('?', 1)[0] === PATH;
    // One request for each connection, so that a client cannot make this process write more than the client reads.
    response.shouldKeepAlive = false;
    if (isPage && request.method === 'GET') return reader.getMetricsRequestHandler(request, response);
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
