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

export type ProbesOptions = {
  readiness: Readiness;
  build: Build;
  /** Returns why only a restart would help, or null. Postgres and Redis must not count: a restart would not repair them. */
  stuckBecause?: () => string | null;
};

/** /healthz and /readyz. */
export function createProbesHandler({ readiness, build, stuckBecause = () => null }: ProbesOptions): Handler {
  const routes: GetRoutes = new Map([
    [
      '/healthz',
      (response) => {
        const problem = stuckBecause();
        if (problem === null) sendJson(response, 200, { status: 'ok', ...build });
        else sendJson(response, 503, { status: 'stuck', problems: [problem], ...build });
      },
    ],
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
