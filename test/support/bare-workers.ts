// `node test/support/bare-workers.ts <count>` supervises workers like `serve --workers`, with a server of node:http in
// each. They start in a fraction of a second.
import cluster from 'node:cluster';
import http from 'node:http';
import { createLogger } from '../../src/process/log.ts';
import { listenForStop } from '../../src/process/stop-signal.ts';
import { parseWorkers, superviseWorkers } from '../../src/process/workers.ts';
import { listenOnAll } from '../../src/server/transport/listen-on-all.ts';
import { createSharedPorts } from '../../src/server/transport/shared-ports.ts';

const log = createLogger('info');
const stop = listenForStop();

async function supervise(): Promise<void> {
  const ports = createSharedPorts((err) => log.warn({ err }, 'a connection was not accepted'));
  await superviseWorkers(
    {
      count: parseWorkers(process.argv[2] ?? ''),
      environment: () => ({}),
      killAfterMs: 10_000,
      ports: {
        add: (worker, onListening) => ports.add(worker, (_, port) => onListening(port)),
        remove: ports.remove,
      },
      observer: { started() {}, listening() {}, ended() {} },
    },
    log,
    stop,
  );
}

async function work(): Promise<void> {
  const answer = (_: unknown, response: http.ServerResponse) => response.end(String(process.pid));
  const servers: http.Server[] = [];
  const listening = await listenOnAll({ host: '127.0.0.1', port: 0, shared: 'PORT' }, () => {
    const server = http.createServer({ keepAliveTimeout: 60_000 }, answer);
    servers.push(server);
    return server;
  });
  log.info({ port: listening.port }, 'started');
  await stop.requested;
  const closed = listening.close();
  const idle = setInterval(() => {
    for (const server of servers) server.closeIdleConnections();
  }, 20);
  await closed;
  clearInterval(idle);
}

await (cluster.isPrimary ? supervise() : work());
process.exit();
