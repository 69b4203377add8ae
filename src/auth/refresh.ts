import type { Deps } from '../deps.ts';
import { type AudienceChoice, chosenAudiences, parseAudiences } from '../domain/audience.ts';
import type { AuditEvent } from '../domain/audit-event.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { judgeRefresh, type RefreshVerdict } from '../domain/judge-refresh.ts';
import { InvalidValue, parseFields } from '../domain/parse-fields.ts';
import { parseRefreshToken, type RefreshToken } from '../domain/refresh-token.ts';
import type { Tokens } from '../domain/tokens.ts';
import { noteForLog } from '../process/log-context.ts';
import type { Grant, Session } from '../store/session-rows.ts';
import { type Attempt, enforceLimits, type Permit } from './enforce-limits.ts';
import { issueTokens } from './issue-tokens.ts';

/** @param audiences empty for the audiences of the session */
export type RefreshInput = { refreshToken: string; requestId: string; audiences: string[] };

type RefreshRequest = { requestId: string; audiences: AudienceChoice };

type RefreshDeps = Pick<
  Deps,
  | 'store'
  | 'revocationFeed'
  | 'limiter'
  | 'sessionUsers'
  | 'signingKeys'
  | 'verifier'
  | 'purposeKeys'
  | 'tokenSettings'
  | 'now'
  | 'newId'
>;

/** @throws AuthError REFRESH_TOKEN_INVALID, REFRESH_TOKEN_REUSED, SESSION_EXPIRED, SESSION_ENDED or AUDIENCES_REMOVED */
export async function refresh(deps: RefreshDeps, input: RefreshInput, call: Call): Promise<Tokens> {
  const { request_id: requestId, audiences } = parseFields({
    request_id: () => parseRequestId(input.requestId),
    audiences: () => parseAudiences(input.audiences, deps.tokenSettings.audiences),
  });
  const request = { requestId, audiences };
  const token = parseRefreshToken(input.refreshToken, deps.purposeKeys.refreshTokens);
  if (!token) {
    await enforceLimits(deps, { attempts: [{ limit: 'REFRESH_NETWORK' }] }, call);
    throw new AuthError('REFRESH_TOKEN_INVALID');
  }
  const { sessionId } = token;
  noteForLog({ session_id: sessionId });
  const userId = deps.sessionUsers.userOf(sessionId);
  const permit = await permitOf(deps, { sessionId, userId }, call);
  const grant = await permit.giveBackOnError(
    async () => (await rotate(deps, token, request, call)) ?? (await replay(deps, token, request, call)),
  );
  noteForLog({ user_id: grant.user.id });
  // Only the rotation reads the user of a session, so the first refresh that this process sees is counted afterwards.
  if (userId === null) await deps.limiter.take('REFRESH_USER', grant.user.id);
  return issueTokens(deps, grant);
}

/**
 * Rejects before the rotation, because a retry past the grace period after it would look like theft. Both limits are
 * counted in one round trip, and an attempt that REFRESH_SESSION rejects does not count for the user.
 * @param subject `userId` is null while this process does not know it
 * @throws AuthError RATE_LIMITED
 */
async function permitOf(
  deps: RefreshDeps,
  { sessionId, userId }: { sessionId: string; userId: string | null },
  call: Call,
): Promise<Pick<Permit, 'giveBackOnError'>> {
  if (userId !== null) noteForLog({ user_id: userId });
  const ofUser: Attempt[] = userId === null ? [] : [{ limit: 'REFRESH_USER', key: userId }];
  const subject = { sessionId, ...(userId !== null && { userId }) };
  const [session, user] = await Promise.allSettled([
    enforceLimits(deps, { attempts: [{ limit: 'REFRESH_SESSION', key: sessionId }], sessionId }, call),
    enforceLimits(deps, { attempts: ofUser, ...subject }, call),
  ]);
  if (session.status === 'rejected') {
    if (user.status === 'fulfilled') await user.value.giveBack();
    throw session.reason;
  }
  if (user.status === 'rejected') throw user.reason;
  return user.value;
}

function rotate(
  deps: RefreshDeps,
  token: RefreshToken,
  request: RefreshRequest,
  { origin, signal }: Call,
): Promise<Grant | null> {
  const { sessionId, counter } = token;
  const { sessionIdleSeconds: idleSeconds, audiences: allAudiences } = deps.tokenSettings;
  const event: AuditEvent = { type: 'refreshed', sessionId, origin };
  const rotation = { sessionId, counter, ...request, idleSeconds, allAudiences, at: deps.now(), event };
  return deps.store.rotations.rotate(rotation, signal);
}

/** @throws AuthError unless a retry may receive the current refresh token again */
async function replay(deps: RefreshDeps, token: RefreshToken, request: RefreshRequest, call: Call): Promise<Session> {
  const session = await deps.store.sessions.byId(token.sessionId, call.signal);
  if (!session) throw new AuthError('REFRESH_TOKEN_INVALID');
  noteForLog({ user_id: session.user.id });
  const verdict = judgeRefresh(session, token.counter, request.requestId, deps.now());
  if (verdict === 'replay' || verdict === 'rotate') assertAudiences(deps, session, request);
  if (verdict === 'replay') return narrow(deps, session, request);
  if (verdict === 'reuse') await endStolenSession(deps, session, call);
  throw new AuthError(REASONS[verdict], verdict === 'rotate' ? { retryAfterMs: 0 } : {});
}

/** A session never gets more audiences than it has. @throws AuthError INVALID_ARGUMENT or AUDIENCES_REMOVED */
function assertAudiences(
  { tokenSettings }: Pick<Deps, 'tokenSettings'>,
  session: Session,
  { audiences }: RefreshRequest,
): void {
  const allowed = chosenAudiences(session.audiences, tokenSettings.audiences);
  if (allowed.length === 0) throw new AuthError('AUDIENCES_REMOVED');
  parseFields({ audiences: () => parseAudiences(audiences ?? [], allowed) });
}

/** Both responses contain the same refresh token, so it gets only the audiences that both requests named. */
async function narrow(
  { store }: Pick<Deps, 'store'>,
  session: Session,
  { audiences }: RefreshRequest,
): Promise<Session> {
  if (!audiences || audiences.length === session.audiences?.length) return session;
  const isDone = await store.sessions.narrow(session.sessionId, session.counter, audiences);
  if (!isDone) throw new AuthError(REASONS.rotate, { retryAfterMs: 0 });
  return { ...session, audiences };
}

/** Commits before the caller throws, because an error inside the transaction would roll the revocation back. */
async function endStolenSession(
  { store, revocationFeed, now }: Pick<Deps, 'store' | 'revocationFeed' | 'now'>,
  { sessionId, user }: Session,
  { origin }: Call,
): Promise<void> {
  const detected = audit({ type: 'refresh_reuse_detected', userId: user.id, sessionId, origin });
  await store.sessions.end(sessionId, 'refresh_token_reused', { at: now(), effects: [detected] });
  await revocationFeed.catchUp();
}

const REASONS = {
  reuse: 'REFRESH_TOKEN_REUSED',
  ended: 'SESSION_ENDED',
  expired: 'SESSION_EXPIRED',
  invalid: 'REFRESH_TOKEN_INVALID',
  // The row changed between the two statements, for example because the account was enabled.
  rotate: 'DEPENDENCY_UNAVAILABLE',
} as const satisfies Record<Exclude<RefreshVerdict, 'replay'>, string>;

function parseRequestId(text: string): string {
  if (!/^[\x20-\x7e]{0,128}$/.test(text)) throw new InvalidValue('must be at most 128 printable ASCII characters');
  return text;
}
