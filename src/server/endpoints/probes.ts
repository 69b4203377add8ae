// The probes. This folder owns plain HTTP endpoints beside RPCs. It must not depend on Connect's routes.
import type { Build } from '../../process/release.ts';
import { type Handler, sendJson } from '../transport/handler.ts';
import { createGetHandler, type GetRoutes } from './get-routes.ts';

export type Readiness = () => Promise<{
  ready: boolean;
  problems: string[];
  /** Problems that limit the service but leave it ready. */
  degraded: string[];
}>;

export function createProbesHandler(readiness: Readiness, build: Build): Handler {
  const routes: GetRoutes = new Map([
    ['/healthz', (response) => sendJson(response, 200, { status: 'ok', ...build })],
    [
      '/readyz',
      (response) =>
        void readiness().then(({ ready, problems, degraded }) =>
          sendJson(response, ready ? 200 : 503, { status: ready ? 'ready' : 'not ready', problems, degraded }),
        ),
    ],
  ]);
  return createGetHandler(routes);
}
