import type { Config } from '../config/config.ts';
import { openProbeServer } from '../server/endpoints/probe-server.ts';
import type { Handler } from '../server/transport/handler.ts';
import { listenProblem } from './assert-ports-free.ts';

/** Returns its port, or null without HEALTH_PORT. @throws OperatorError when the port cannot be used */
export async function startProbeServer(
  { host, healthPort: port }: Config['http'],
  probes: Handler,
  started: AsyncDisposableStack,
): Promise<number | null> {
  if (port === null) return null;
  const server = await openProbeServer({ host, port }, probes).catch((error) => {
    throw listenProblem({ key: 'HEALTH_PORT', host, port }, error);
  });
  started.defer(() => server.close());
  return server.port;
}
