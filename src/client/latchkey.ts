// Verifies access tokens in the process that receives them: with the server's own engine, on what its Watch stream tells.
import type { SecureContextOptions } from 'node:tls';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, type Transport } from '@connectrpc/connect';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { PrincipalKind, type Principal as PrincipalMessage } from '../../gen/latchkey/auth/v1/types_pb.ts';
import { AuthError, type Reason } from '../domain/auth-error.ts';
import type { TokenPrincipal } from '../domain/principal.ts';
import { RETRY_SOON_MS } from '../domain/retry-after.ts';
import { createEngine, type Engine } from '../verifier/engine.ts';
import { createRevocationView } from '../verifier/revocation-view.ts';
import { connectServers, firstAnswer } from './servers.ts';
import { followWatch } from './watch-follower.ts';

export type LatchkeyOptions = {
  /**
   * Of the server, such as `http://localhost:8080`, or of several servers of one deployment. The first is followed; when it fails the
   * next one is, at once.
   */
  url: string | readonly string[];
  /** VerifierService asks for a service's key, or for its certificate. */
  serviceKey?: string;
  /** Of https: whom to trust besides the usual authorities, and the certificate to show; PEM. */
  tls?: Pick<SecureContextOptions, 'ca' | 'cert' | 'key'>;
  /** When set, tokens must have been issued for it (`aud`). */
  audience?: string;
  /** How old the knowledge of revocations may be while a server is followed, in milliseconds. 5,000 by default. */
  maxStalenessMs?: number;
  /** The same while the stream has ended or is late, so that nothing new arrives. 1,000 by default. */
  maxStalenessDisconnectedMs?: number;
  /** Beyond that: ask a server about each token (the default), or refuse. */
  whenStale?: 'ask' | 'refuse';
  /** Bound of the cache of verified tokens. 64 MiB by default. */
  cacheBytes?: number;
  /** Hears why the stream was interrupted; it is resumed in any case. */
  onError?: (error: unknown) => void;
  /** Makes the transport to a URL, in place of gRPC over HTTP/2. */
  transport?: (url: string) => Transport;
};

export type Latchkey = {
  /**
   * Whom a token speaks for. From memory, in microseconds; asks the server only when that is too old.
   * @param token of `authorization: Bearer ...`, without the scheme
   * @throws AuthError CREDENTIALS_MISSING, TOKEN_INVALID, TOKEN_EXPIRED, AUDIENCE_MISMATCH, TOKEN_REVOKED, TOKEN_STALE; or
   *   DEPENDENCY_UNAVAILABLE when nobody can tell
   */
  verify(token: string): Promise<TokenPrincipal>;
  /**
   * Resolves when verify needs to ask nobody. Waits for a server that is away.
   * @throws AuthError when the server refuses the service key
   */
  ready(): Promise<void>;
  /** How old the knowledge of revocations is, in milliseconds; Infinity before there is any. */
  stalenessMs(): number;
  close(): void;
};

const MAX_STALENESS_MS = 5_000;
const MAX_STALENESS_DISCONNECTED_MS = 1_000;
const CACHE_BYTES = 64 * 1024 * 1024;
const ASK_TIMEOUT_MS = 2_000;
const NEVER = Number.POSITIVE_INFINITY;

/** @throws TypeError when the URL is none */
export function createLatchkey(options: LatchkeyOptions): Latchkey {
  const { audience = '', whenStale = 'ask', maxStalenessMs = MAX_STALENESS_MS } = options;
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
    onKeys(keys, issuer) {
      if (engine?.issuer === issuer) return engine.engine.useKeys(keys);
      const cacheBytes = options.cacheBytes ?? CACHE_BYTES;
      const settings = { issuer, keys, view: trusted, cacheBytes, maxViewAgeMs: maxStalenessMs, revalidateSeconds: 0 };
      engine = { issuer, engine: createEngine({ ...settings, now: () => new Date(follower.now()) }) };
    },
  });

  /** What is older than can be believed now, is not known at all. */
  const trusted = {
    standing: view.standing,
    ageMs: () => (follower.isFollowing() || view.ageMs() <= maxStalenessDisconnectedMs ? view.ageMs() : NEVER),
  };

  async function ask(accessToken: string): Promise<TokenPrincipal> {
    if (whenStale === 'refuse') throw unavailable(new Error('what is known of revocations is too old'));
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
    async verify(token) {
      if (token === '') throw new AuthError('CREDENTIALS_MISSING');
      const verdict = engine?.engine.judge(token, audience);
      if (!verdict || 'undecided' in verdict) return ask(token);
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
  if (!message?.issuedAt || !message.expiresAt) throw new ConnectError('no principal in the answer', Code.Internal);
  const { userId, sessionId, email, emailVerified, roles, issuedAt, expiresAt } = message;
  const times = { issuedAt: timestampDate(issuedAt), expiresAt: timestampDate(expiresAt) };
  if (message.kind === PrincipalKind.SERVICE) {
    const { serviceAccountId, service: name } = message;
    return { kind: 'service', serviceAccountId, name, roles, ...times };
  }
  return { kind: 'user', userId, sessionId, email, emailVerified, roles, ...times };
}

/** A refusal by the server is one here; everything else means that nobody can tell. */
function toAuthError(error: unknown): AuthError {
  const failure = ConnectError.from(error);
  const [info] = failure.findDetails(ErrorInfoSchema);
  if ([Code.Unauthenticated, Code.PermissionDenied].includes(failure.code) && info)
    return new AuthError(info.reason as Reason, { cause: failure });
  return unavailable(failure);
}

function unavailable(cause: Error): AuthError {
  return new AuthError('DEPENDENCY_UNAVAILABLE', { retryAfterMs: RETRY_SOON_MS, cause });
}
