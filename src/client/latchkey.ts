// Verifies access tokens in the process that receives them, with the server's own decision engine and the revocation
// events of its Watch stream. Asks a server only when those events are too old.
import type { SecureContextOptions } from 'node:tls';
import { ConnectError, type Transport } from '@connectrpc/connect';
import { ACRS, type Acr, isAcr, type RequiredStrength } from '../domain/acr.ts';
import { isApiKey } from '../domain/api-key.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { TokenPrincipal } from '../domain/principal.ts';
import { isMaxAge, requiredStrength } from '../domain/required-strength.ts';
import { unmetReason } from '../domain/requirement.ts';
import { createEngine, type Engine } from '../verifier/engine.ts';
import { requireStrength } from '../verifier/require-strength.ts';
import { createRevocationView } from '../verifier/revocation-view.ts';
import { createAsk, toAuthError, unavailable } from './ask-servers.ts';
import { createClientMetrics, type Metric } from './client-metrics.ts';
import { connectServers, type Server } from './servers.ts';
import { followWatch } from './watch-follower.ts';

export type LatchkeyOptions = {
  /**
   * URL of a server, such as `http://localhost:8080`, or of several servers of one deployment. The library follows the
   * first server, and changes to the next one as soon as that fails.
   */
  url: string | readonly string[];
  /** One of SERVICE_KEYS, or an API key. A server that checks client certificates requires none. */
  serviceKey?: string;
  /** For https: certificate authorities to trust, and the client certificate with its key; PEM. */
  tls?: Pick<SecureContextOptions, 'ca' | 'cert' | 'key'>;
  /** When set, the `aud` claim of a token must contain it. */
  audience?: string;
  /**
   * Whether an API key may stand in the place of a token. The library asks a server about each, because it cannot verify
   * them itself. Default false.
   */
  acceptApiKeys?: boolean;
  /** Oldest revocation data to trust while a server is followed, in milliseconds. Default 5,000. */
  maxStalenessMs?: number;
  /** The same while the stream has ended or is late, in milliseconds. Default 1,000. */
  maxStalenessDisconnectedMs?: number;
  /** Beyond those ages: `ask` a server about each token (default), or `reject` each token. */
  whenStale?: 'ask' | 'reject';
  /** Largest size of the cache of verified tokens, in bytes. Default 64 MiB. */
  cacheBytes?: number;
  /**
   * Receives each error of the stream. The library connects again in any case. Without it, each new message becomes a
   * warning of the process.
   */
  onError?: (error: unknown) => void;
  /** Creates the transport to a URL, instead of gRPC over HTTP/2. */
  transport?: (url: string) => Transport;
};

export type VerifyOptions = {
  audience?: string;
  acceptApiKeys?: boolean;
  /** The strength that the user's authentication must have at least. A service never has it. */
  acr?: Acr;
  /** The greatest age of the user's authentication, in seconds, by the server's clock. */
  maxAgeSeconds?: number;
};

export type Latchkey = {
  /**
   * Answers from memory, in microseconds. Asks a server only when the revocation data is too old.
   * @param token the value of `authorization: Bearer ...`, without the scheme
   * @param options replace those of createLatchkey
   * @throws AuthError CREDENTIALS_MISSING, TOKEN_INVALID, TOKEN_EXPIRED, AUDIENCE_MISMATCH, TOKEN_REVOKED, TOKEN_STALE;
   * STEP_UP_REQUIRED for a user without the required strength, PERMISSION_DENIED for a service where one is required;
   * or DEPENDENCY_UNAVAILABLE when the token cannot be verified now
   */
  verify(token: string, options?: VerifyOptions): Promise<TokenPrincipal>;
  /**
   * Resolves when `verify` can answer from memory. Waits for a server that is unavailable.
   * @param options `timeoutMs` bounds the wait; without it there is no bound
   * @throws AuthError when the server rejects the service key, or DEPENDENCY_UNAVAILABLE with the last error at the end
   * of the wait
   */
  ready(options?: { timeoutMs?: number }): Promise<void>;
  /** Age of the revocation data in milliseconds; Infinity before the first data. */
  stalenessMs(): number;
  /** The present values, for the metrics of any system. */
  metrics(): Metric[];
  close(): void;
};

const MAX_STALENESS_MS = 5_000;
const MAX_STALENESS_DISCONNECTED_MS = 1_000;
const CACHE_BYTES = 64 * 1024 * 1024;
const NEVER = Number.POSITIVE_INFINITY;

/** @throws TypeError when a URL is invalid */
export function createLatchkey(options: LatchkeyOptions): Latchkey {
  rejectUnknown(options, Object.keys(OPTIONS));
  const { audience: ownAudience = '', whenStale = 'ask', maxStalenessMs = MAX_STALENESS_MS } = options;
  const { maxStalenessDisconnectedMs = MAX_STALENESS_DISCONNECTED_MS } = options;
  const servers = connectServers([options.url].flat(), options.tls ?? {}, options.transport);
  const view = createRevocationView();
  let engine: { issuer: string; engine: Engine } | null = null;

  let lastError: unknown = new Error('no server has answered yet');
  const onError = options.onError ?? warnOnChange();
  const counts = createClientMetrics({
    stalenessMs: view.ageMs,
    isFollowing: () => follower.isFollowing(),
    cachedBytes: () => engine?.engine.cachedBytes() ?? 0,
  });
  const ask = createAsk({ servers, followed: () => follower.serverIndex(), onAsked: counts.asked });
  const follower = followWatch({
    servers: servers.map((server) => countingStreams(server, counts.streamStarted)),
    headers: options.serviceKey === undefined ? {} : { authorization: `Bearer ${options.serviceKey}` },
    view,
    maxStalenessMs,
    onError(error) {
      lastError = error;
      onError(error);
    },
    onKeys({ issuer, keys, unusableKids }) {
      if (engine?.issuer === issuer) return engine.engine.useKeys(keys, unusableKids);
      const cacheBytes = options.cacheBytes ?? CACHE_BYTES;
      const settings = {
        issuer,
        keys,
        unusableKids,
        view: trusted,
        cacheBytes,
        maxViewAgeMs: maxStalenessMs,
        revalidateSeconds: 0,
      };
      engine = { issuer, engine: createEngine({ ...settings, now: () => new Date(follower.now()) }) };
    },
  });

  /** Data that is too old counts as no data. */
  const trusted = {
    statusOf: view.statusOf,
    ageMs: () => (follower.isFollowing() || view.ageMs() <= maxStalenessDisconnectedMs ? view.ageMs() : NEVER),
  };

  const decide = async (
    token: string,
    audience: string,
    strength: RequiredStrength | null,
  ): Promise<TokenPrincipal> => {
    const isByApiKey = isApiKey(token);
    const judged = isByApiKey ? null : engine?.engine.judge(token, audience);
    if (judged && !('undecided' in judged)) {
      const verdict = requireStrength(judged, strength, follower.now());
      counts.verdict('memory', 'reason' in verdict ? verdict.reason : 'valid');
      if ('reason' in verdict) throw new AuthError(verdict.reason, { required: verdict.required });
      return verdict.decision.principal;
    }
    try {
      if (whenStale === 'reject' && !isByApiKey)
        throw unavailable('the revocation data is too old, and whenStale is reject');
      const principal = await ask(token, audience);
      // A server of the release before ignores a required strength.
      const reason = strength && unmetReason(strength, principal, follower.now());
      if (strength && reason) throw new AuthError(reason, { required: strength });
      counts.verdict('server', 'valid');
      return principal;
    } catch (error) {
      const failure = toAuthError(error);
      counts.verdict('server', failure.reason);
      throw failure;
    }
  };

  return {
    async verify(token, { audience = ownAudience, acceptApiKeys = options.acceptApiKeys ?? false, ...strength } = {}) {
      if (token === '') throw new AuthError('CREDENTIALS_MISSING');
      if (isApiKey(token) && !acceptApiKeys) throw new AuthError('API_KEY_NOT_ACCEPTED');
      return decide(token, audience, parseStrength(strength));
    },
    async ready({ timeoutMs } = {}) {
      try {
        if (timeoutMs === undefined) await follower.ready;
        else await withTimeout(follower.ready, timeoutMs, () => lastError);
      } catch (error) {
        throw toAuthError(error);
      }
    },
    metrics: counts.read,
    stalenessMs: () => view.ageMs(),
    close: () => follower.close(),
  };
}

const OPTIONS: Record<keyof LatchkeyOptions, true> = {
  ...{ url: true, serviceKey: true, tls: true, transport: true },
  ...{ audience: true, acceptApiKeys: true },
  ...{ maxStalenessMs: true, maxStalenessDisconnectedMs: true, whenStale: true },
  ...{ cacheBytes: true, onError: true },
};
const VERIFY_OPTIONS: (keyof VerifyOptions)[] = ['audience', 'acceptApiKeys', 'acr', 'maxAgeSeconds'];

/** JavaScript code can misspell the name of an option, and more tokens would then pass. */
function rejectUnknown(given: object, known: string[]): void {
  const unknown = Object.keys(given).find((name) => !known.includes(name));
  if (unknown !== undefined) throw new TypeError(`${unknown} is not one of ${known.join(', ')}`);
}

/** JavaScript code can misspell a strength, and every user would then reach it. */
function parseStrength({
  acr,
  maxAgeSeconds,
  ...unknown
}: Pick<VerifyOptions, 'acr' | 'maxAgeSeconds'>): RequiredStrength | null {
  rejectUnknown(unknown, VERIFY_OPTIONS);
  if (acr !== undefined && !isAcr(acr)) throw new TypeError(`acr must be one of ${ACRS.join(', ')}`);
  if (maxAgeSeconds !== undefined && !isMaxAge(maxAgeSeconds))
    throw new TypeError('maxAgeSeconds must be whole seconds, from 1 to a year');
  return requiredStrength(acr ?? null, maxAgeSeconds ?? null);
}

function countingStreams({ verifier, ...server }: Server, onStream: () => void): Server {
  return {
    ...server,
    verifier: {
      watch(...request) {
        onStream();
        return verifier.watch(...request);
      },
    },
  };
}

/** A wrong URL would otherwise make `ready` wait in silence. */
function warnOnChange(): (error: unknown) => void {
  let last = '';
  return (error) => {
    const { message } = ConnectError.from(error);
    if (message !== last) process.emitWarning(message, 'LatchkeyWarning');
    last = message;
  };
}

async function withTimeout(work: Promise<void>, timeoutMs: number, reason: () => unknown): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(reason()), timeoutMs);
  });
  await Promise.race([work, timeout]).finally(() => clearTimeout(timer));
}
