// Verifies access tokens in the process that receives them, with the server's own decision engine and the revocation
// events of its Watch stream. Asks a server only when those events are too old.
import type { SecureContextOptions } from 'node:tls';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, type Transport } from '@connectrpc/connect';
import { PrincipalKind, type Principal as PrincipalMessage } from '../../gen/latchkey/auth/v1/types_pb.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { TokenPrincipal } from '../domain/principal.ts';
import { RETRY_SOON_MS } from '../domain/retry-after.ts';
import { createEngine, type Engine } from '../verifier/engine.ts';
import { createRevocationView } from '../verifier/revocation-view.ts';
import { reasonOf } from './reason-of.ts';
import { connectServers, firstAnswer } from './servers.ts';
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
  /** Oldest revocation data to trust while a server is followed, in milliseconds. Default 5,000. */
  maxStalenessMs?: number;
  /** The same while the stream has ended or is late, in milliseconds. Default 1,000. */
  maxStalenessDisconnectedMs?: number;
  /** Beyond those ages: `ask` a server about each token (default), or `reject` each token. */
  whenStale?: 'ask' | 'reject';
  /** Largest size of the cache of verified tokens, in bytes. Default 64 MiB. */
  cacheBytes?: number;
  /** Receives each error of the stream. The library connects again in any case. */
  onError?: (error: unknown) => void;
  /** Creates the transport to a URL, instead of gRPC over HTTP/2. */
  transport?: (url: string) => Transport;
};

export type Latchkey = {
  /**
   * Answers from memory, in microseconds. Asks a server only when the revocation data is too old.
   * @param token the value of `authorization: Bearer ...`, without the scheme
   * @param options `audience` replaces that of createLatchkey
   * @throws AuthError CREDENTIALS_MISSING, TOKEN_INVALID, TOKEN_EXPIRED, AUDIENCE_MISMATCH, TOKEN_REVOKED, TOKEN_STALE;
   * or DEPENDENCY_UNAVAILABLE when the token cannot be verified now
   */
  verify(token: string, options?: { audience?: string }): Promise<TokenPrincipal>;
  /**
   * Resolves when `verify` can answer from memory. Waits for a server that is unavailable.
   * @throws AuthError when the server rejects the service key
   */
  ready(): Promise<void>;
  /** Age of the revocation data in milliseconds; Infinity before the first data. */
  stalenessMs(): number;
  close(): void;
};

const MAX_STALENESS_MS = 5_000;
const MAX_STALENESS_DISCONNECTED_MS = 1_000;
const CACHE_BYTES = 64 * 1024 * 1024;
const ASK_TIMEOUT_MS = 2_000;
const NEVER = Number.POSITIVE_INFINITY;

/** @throws TypeError when a URL is invalid */
export function createLatchkey(options: LatchkeyOptions): Latchkey {
  const { audience: ownAudience = '', whenStale = 'ask', maxStalenessMs = MAX_STALENESS_MS } = options;
  const { maxStalenessDisconnectedMs = MAX_STALENESS_DISCONNECTED_MS } = options;
  const servers = connectServers([options.url].flat(), options.tls ?? {}, options.transport);
  const view = createRevocationView();
  let engine: { issuer: string; engine: Engine } | null = null;

  const follower = followWatch({
    servers,
    headers: options.serviceKey === undefined ? {} : { authorization: `Bearer ${options.serviceKey}` },
    view,
    maxStalenessMs,
    onError: options.onError ?? (() => {}),
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

  async function ask(accessToken: string, audience: string): Promise<TokenPrincipal> {
    if (whenStale === 'reject') throw unavailable(new Error('the revocation data is too old'));
    try {
      const followed = follower.serverIndex();
      const { principal } = await firstAnswer(
        [...servers.slice(followed), ...servers.slice(0, followed)],
        ({ auth }, signal) => auth.verify({ accessToken, audience }, { timeoutMs: ASK_TIMEOUT_MS, signal }),
      );
      return toPrincipal(principal);
    } catch (error) {
      throw toAuthError(error);
    }
  }

  return {
    async verify(token, { audience = ownAudience } = {}) {
      if (token === '') throw new AuthError('CREDENTIALS_MISSING');
      const verdict = engine?.engine.judge(token, audience);
      if (!verdict || 'undecided' in verdict) return ask(token, audience);
      if ('decision' in verdict) return verdict.decision.principal;
      throw new AuthError(verdict.reason);
    },
    async ready() {
      try {
        await follower.ready;
      } catch (error) {
        throw toAuthError(error);
      }
    },
    stalenessMs: () => view.ageMs(),
    close: () => follower.close(),
  };
}

function toPrincipal(message: PrincipalMessage | undefined): TokenPrincipal {
  if (!message?.issuedAt || !message.expiresAt) throw new ConnectError('the answer has no principal', Code.Internal);
  const { userId, sessionId, email, emailVerified, roles, issuedAt, expiresAt } = message;
  const times = { issuedAt: timestampDate(issuedAt), expiresAt: timestampDate(expiresAt) };
  if (message.kind === PrincipalKind.SERVICE) {
    const { serviceAccountId, service: name } = message;
    return { kind: 'service', serviceAccountId, name, roles, ...times };
  }
  return { kind: 'user', userId, sessionId, email, emailVerified, roles, ...times };
}

/** A rejection by the server stays one. Every other error means that the token cannot be verified now. */
function toAuthError(error: unknown): AuthError {
  const failure = ConnectError.from(error);
  const reason = reasonOf(failure);
  if ([Code.Unauthenticated, Code.PermissionDenied, Code.FailedPrecondition].includes(failure.code) && reason !== null)
    return new AuthError(reason, { cause: failure });
  return unavailable(failure);
}

function unavailable(cause: Error): AuthError {
  return new AuthError('DEPENDENCY_UNAVAILABLE', { retryAfterMs: RETRY_SOON_MS, cause });
}
