import type { MessageInitShape } from '@bufbuild/protobuf';
import { type Timestamp, timestampDate, timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { IdentitySchema, SessionSchema } from '../../../gen/latchkey/auth/v1/account_service_pb.ts';
import { Reason } from '../../../gen/latchkey/auth/v1/errors_pb.ts';
import {
  PrincipalKind,
  type PrincipalSchema,
  type TokensSchema,
  type UserSchema,
} from '../../../gen/latchkey/auth/v1/types_pb.ts';
import type { ChangeSchema, VerdictSchema } from '../../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import type { ListedSession } from '../../account/list-sessions.ts';
import type { RoleAnswer } from '../../auth/check-role.ts';
import type { StartedOAuth } from '../../auth/start-oauth.ts';
import { invalid, parseFields } from '../../domain/parse-fields.ts';
import type { TokenPrincipal } from '../../domain/principal.ts';
import type { RevocationEvent } from '../../domain/revocation-event.ts';
import type { Tokens } from '../../domain/tokens.ts';
import type { User } from '../../domain/user.ts';
import type { SigningKeys } from '../../keys/signing-keys.ts';
import type { Identity } from '../../store/identities.ts';
import type { Verdict } from '../../verifier/engine.ts';

export function userMessage({ createdAt, disabled: _, ...user }: User): MessageInitShape<typeof UserSchema> {
  return { ...user, createdAt: timestampFromDate(createdAt) };
}

export function sessionMessage(session: ListedSession): MessageInitShape<typeof SessionSchema> {
  const { id, address, userAgent, isCurrent } = session;
  return {
    id,
    address,
    userAgent,
    current: isCurrent,
    createdAt: timestampFromDate(session.createdAt),
    lastUsedAt: timestampFromDate(session.lastUsedAt),
    expiresAt: timestampFromDate(session.expiresAt),
  };
}

export function identityMessage({
  createdAt,
  lastUsedAt,
  ...identity
}: Identity): MessageInitShape<typeof IdentitySchema> {
  return { ...identity, createdAt: timestampFromDate(createdAt), lastUsedAt: timestampFromDate(lastUsedAt) };
}

export function startedMessage({ expiresAt, ...started }: StartedOAuth) {
  return { ...started, expiresAt: timestampFromDate(expiresAt) };
}

export function tokensMessage(tokens: Tokens): MessageInitShape<typeof TokensSchema> {
  return {
    accessToken: tokens.accessToken,
    tokenType: 'Bearer',
    expiresAt: timestampFromDate(tokens.expiresAt),
    refreshToken: tokens.refreshToken,
    refreshExpiresAt: timestampFromDate(tokens.refreshExpiresAt),
  };
}

export function principalMessage(principal: TokenPrincipal): MessageInitShape<typeof PrincipalSchema> {
  const { issuedAt, expiresAt, roles } = principal;
  const times = { issuedAt: timestampFromDate(issuedAt), expiresAt: timestampFromDate(expiresAt) };
  if (principal.kind === 'service') {
    const { serviceAccountId, name } = principal;
    return { kind: PrincipalKind.SERVICE, serviceAccountId, service: name, roles, ...times };
  }
  const { userId, sessionId, email, emailVerified, acr, amr, authTime } = principal;
  return {
    kind: PrincipalKind.USER,
    userId,
    sessionId,
    email,
    emailVerified,
    acr,
    amr,
    ...(authTime && { authTime: timestampFromDate(authTime) }),
    roles,
    ...times,
  };
}

export function verdictMessage(verdict: Verdict): MessageInitShape<typeof VerdictSchema> {
  if ('reason' in verdict) return { reason: Reason[verdict.reason] };
  const { principal, revalidateAt } = verdict.decision;
  return { principal: principalMessage(principal), revalidateAt: timestampFromDate(revalidateAt) };
}

/** @throws AuthError INVALID_ARGUMENT outside the range of google.protobuf.Timestamp */
export function timeOf(field: string, timestamp: Timestamp | undefined): Date | null {
  if (!timestamp) return null;
  const { [field]: time } = parseFields({
    [field]: () => {
      const date = timestampDate(timestamp);
      const year = date.getUTCFullYear();
      return year >= 1 && year <= 9999 ? date : invalid('must be a time between the years 1 and 9999');
    },
  });
  return time as Date;
}

export function roleMessage(answer: RoleAnswer): { allowed: boolean; reason?: Reason } {
  return answer.allowed ? { allowed: true } : { allowed: false, reason: Reason[answer.reason] };
}

/** @param keys the current keys: the event carries none */
export function changeMessage(
  change: RevocationEvent,
  keys: Pick<SigningKeys, 'publicKeys'>,
  issuer: string,
): MessageInitShape<typeof ChangeSchema> {
  switch (change.kind) {
    case 'session_ended':
      return { change: { case: 'sessionEnded', value: { sessionId: change.sessionId } } };
    case 'user_changed': {
      const { userId, staleBelow, revokedBelow } = change;
      const value = { userId, staleBelowEpoch: BigInt(staleBelow), revokedBelowEpoch: BigInt(revokedBelow) };
      return { change: { case: 'userChanged', value } };
    }
    case 'role_changed': {
      const { role, staleBelow } = change;
      return { change: { case: 'roleChanged', value: { role, staleBelowEpoch: BigInt(staleBelow) } } };
    }
    case 'keys_changed':
      return { change: { case: 'keysChanged', value: { keys: keys.publicKeys(), issuer } } };
    case 'unknown':
      return {};
  }
}
