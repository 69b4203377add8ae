// JWKS and the probes. This folder owns plain HTTP endpoints beside RPCs. It must not depend on Connect's routes.
import type { KeyPolicy } from '../../domain/key-schedule.ts';
import type { SigningKeys } from '../../keys/signing-keys.ts';
import { type Handler, type NodeResponse, sendJson } from '../transport/handler.ts';

export type Readiness = () => Promise<{
  ready: boolean;
  problems: string[];
  /** Problems that limit the service but leave it ready. */
  degraded: string[];
}>;

const MAX_JWKS_AGE_SECONDS = 300;

export function createJwksAndProbesHandler(
  signingKeys: Pick<SigningKeys, 'jwks' | 'areCurrent'>,
  { publishMs }: Pick<KeyPolicy, 'publishMs'>,
  readiness: Readiness,
): Handler {
  // A client that respects this age receives each new key within half of the time before the key signs.
  const maxAge = Math.min(MAX_JWKS_AGE_SECONDS, Math.floor(publishMs / 2000));
  const routes: Record<string, (response: NodeResponse) => void> = {
    // Serves stale keys rather than none, but forbids caching them.
    '/.well-known/jwks.json': (response) =>
      void signingKeys
        .areCurrent()
        .then((current) =>
          sendJson(response, 200, signingKeys.jwks(), current ? `public, max-age=${maxAge}` : 'no-store'),
        ),
    '/healthz': (response) => sendJson(response, 200, { status: 'ok' }),
    '/readyz': (response) =>
      void readiness().then(({ ready, problems, degraded }) =>
        sendJson(response, ready ? 200 : 503, { status: ready ? 'ready' : 'not ready', problems, degraded }),
      ),
  };

  return (request, response) => {
    const path = request.url?.split('?', 1)[0] ?? '';
    const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
    if (!route) return false;
    if (request.method === 'GET' || request.method === 'HEAD') route(response);
    else sendJson(response, 405, { error: 'method not allowed' });
    return true;
  };
}
