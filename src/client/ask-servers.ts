// Asks a server about a token, for the time in which the revocation data is too old.
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import { PrincipalKind, type Principal as PrincipalMessage } from '../../gen/latchkey/auth/v1/types_pb.ts';
import { isAcr } from '../domain/acr.ts';
import { isApiKey } from '../domain/api-key.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { TokenPrincipal } from '../domain/principal.ts';
import { RETRY_SOON_MS } from '../domain/retry-after.ts';
import { reasonOf } from './reason-of.ts';
import { firstAnswer, type Server } from './servers.ts';

const ASK_TIMEOUT_MS = 2_000;

type AskDeps = {
  servers: Server[];
  /** The index of the server that is called first. */
  followed(): number;
  onAsked(outcome: 'answered' | 'failed'): void;
};

/** @throws AuthError with the reason of a rejection, or DEPENDENCY_UNAVAILABLE */
export function createAsk({ servers, followed, onAsked }: AskDeps) {
  return async (accessToken: string, audience: string): Promise<TokenPrincipal> => {
    const first = followed();
    try {
      const { principal } = await firstAnswer(
        [...servers.slice(first), ...servers.slice(0, first)],
        ({ auth }, signal) =>
          auth.verify(
            { accessToken, audience, acceptApiKeys: isApiKey(accessToken) },
            { timeoutMs: ASK_TIMEOUT_MS, signal },
          ),
      );
      onAsked('answered');
      return toPrincipal(principal);
    } catch (error) {
      const failure = toAuthError(error);
      onAsked(failure.reason === 'DEPENDENCY_UNAVAILABLE' ? 'failed' : 'answered');
      throw failure;
    }
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
  const { acr, amr, authTime } = message;
  return {
    kind: 'user',
    userId,
    sessionId,
    email,
    emailVerified,
    // A server of the release before does not send the strength.
    acr: isAcr(acr) ? acr : 'pwd',
    amr,
    authTime: authTime ? timestampDate(authTime) : null,
    roles,
    ...times,
  };
}

/** A rejection by the server stays one. Every other error means that the token cannot be verified now. */
export function toAuthError(error: unknown): AuthError {
  if (error instanceof AuthError) return error;
  const failure = ConnectError.from(error);
  const reason = reasonOf(failure);
  if ([Code.Unauthenticated, Code.PermissionDenied, Code.FailedPrecondition].includes(failure.code) && reason !== null)
    return new AuthError(reason, { cause: failure, message: `${reason}: ${failure.rawMessage}` });
  return unavailable(failure.rawMessage, failure);
}

export function unavailable(problem: string, cause?: Error): AuthError {
  const message = `DEPENDENCY_UNAVAILABLE: the token cannot be verified now: ${problem}`;
  return new AuthError('DEPENDENCY_UNAVAILABLE', { retryAfterMs: RETRY_SOON_MS, message, cause });
}
