// What is served besides RPCs: JWKS and the probes.
import type { KeyPolicy } from '../../domain/key-schedule.ts';
import type { SigningKeys } from '../../keys/signing-keys.ts';
import { type Handler, type NodeResponse, sendJson } from '../transport/handler.ts';

export type Readiness = () => Promise<{
  ready: boolean;
  problems: string[];
  /** The service is ready without it, and does less. */
  degraded: string[];
}>;

const MAX_JWKS_AGE_SECONDS = 300;

export function createPlainHttpHandler(
  signingKeys: Pick<SigningKeys, 'jwks' | 'areCurrent'>,
  { publishMs }: Pick<KeyPolicy, 'publishMs'>,
  readiness: Readiness,
): Handler {
  // Whoever keeps it for as long as it says knows each key in half of the time before it signs.
  const maxAge = Math.min(MAX_JWKS_AGE_SECONDS, Math.floor(publishMs / 2000));
  const routes: Record<string, (response: NodeResponse) => void> = {
    // Rather old keys than none; but nobody is to keep them.
    '/.well-known/jwks.json': (response) =>
      void signingKeys
        .areCurrent()
        .then((current) =>
          sendJson(response, 200, signingKeys.jwks(), current ? `public, max-age=${maxAge}` : 'no-store'),
        ),
    // Alive: this process answers.
    '/healthz': (response) => sendJson(response, 200, { status: 'ok' }),
    // Ready: it can do its work, and is not about to stop.
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
