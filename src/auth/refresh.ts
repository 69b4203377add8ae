import type { Deps } from '../deps.ts';
import { type AudienceChoice, chosenAudiences, parseAudiences } from '../domain/audience.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { judgeRefresh, type RefreshVerdict } from '../domain/judge-refresh.ts';
import { InvalidValue, parseFields } from '../domain/parse-fields.ts';
import { parseRefreshToken, type RefreshToken } from '../domain/refresh-token.ts';
import type { Tokens } from '../domain/tokens.ts';
import type { Grant, Session } from '../store/sessions.ts';
import { issueTokens } from './issue-tokens.ts';
import { throttle } from './throttle.ts';

/** @param audiences empty for those of the session */
export type RefreshInput = { refreshToken: string; requestId: string; audiences: string[] };

type Asked = { requestId: string; audiences: AudienceChoice };

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
  const asked = { requestId, audiences };
  const token = parseRefreshToken(input.refreshToken, deps.purposeKeys.refreshTokens);
  if (!token) {
    await throttle(deps, [{ limit: 'REFRESH_NETWORK' }], {}, call);
    throw new AuthError('REFRESH_TOKEN_INVALID');
  }
  const { sessionId } = token;
  await throttle(deps, [{ limit: 'REFRESH_SESSION', key: sessionId }], { sessionId }, call);

  const grant = await countedByUser(deps, sessionId, call, async () => {
    return (await rotate(deps, token, asked, call)) ?? (await replay(deps, token, asked, call));
  });
  return issueTokens(deps, grant);
}

/**
 * A refusal comes before the rotation, so the client keeps a current token: after it, a retry past the grace would look like
 * theft. Only the rotation reads whose session it is, so a session that is new to this process goes on once and then counts.
 */
async function countedByUser(
  deps: RefreshDeps,
  sessionId: string,
  call: Call,
  rotateOrReplay: () => Promise<Grant>,
): Promise<Grant> {
  const userId = deps.sessionUsers.userOf(sessionId);
  if (userId !== null) {
    const permit = await throttle(deps, [{ limit: 'REFRESH_USER', key: userId }], { userId, sessionId }, call);
    return permit.unlessItThrows(rotateOrReplay);
  }
  const grant = await rotateOrReplay();
  await deps.limiter.take('REFRESH_USER', grant.user.id);
  return grant;
}

function rotate(deps: RefreshDeps, token: RefreshToken, asked: Asked, { origin }: Call): Promise<Grant | null> {
  const { sessionId, counter } = token;
  const { sessionIdleSeconds: idleSeconds, audiences: allAudiences } = deps.tokenSettings;
  const rotation = { sessionId, counter, ...asked, idleSeconds, allAudiences };
  return deps.store.sessions.rotate(rotation, deps.now(), { type: 'refreshed', sessionId, origin });
}

/** The session as it stands, for a token that may still have the present successor; or the reason why it may not. */
async function replay(deps: RefreshDeps, token: RefreshToken, asked: Asked, call: Call): Promise<Session> {
  const session = await deps.store.sessions.byId(token.sessionId, call.signal);
  if (!session) throw new AuthError('REFRESH_TOKEN_INVALID');
  const verdict = judgeRefresh(session, token.counter, asked.requestId, deps.now());
  if (verdict === 'replay' || verdict === 'rotate') assertAudiences(deps, session, asked);
  if (verdict === 'replay') return narrow(deps, session, asked);
  if (verdict === 'reuse') await endStolenSession(deps, session, call);
  throw new AuthError(REASONS[verdict], verdict === 'rotate' ? { retryAfterMs: 0 } : {});
}

/** A session never gets more audiences than it has. @throws AuthError INVALID_ARGUMENT or AUDIENCES_REMOVED */
function assertAudiences({ tokenSettings }: Pick<Deps, 'tokenSettings'>, session: Session, { audiences }: Asked): void {
  const theirs = chosenAudiences(session.audiences, tokenSettings.audiences);
  if (theirs.length === 0) throw new AuthError('AUDIENCES_REMOVED');
  parseFields({ audiences: () => parseAudiences(audiences ?? [], theirs) });
}

/** Both answers hold the same successor. It is for no more than either request asked for. */
async function narrow({ store }: Pick<Deps, 'store'>, session: Session, { audiences }: Asked): Promise<Session> {
  if (!audiences || audiences.length === session.audiences?.length) return session;
  const isDone = await store.sessions.narrow(session.sessionId, session.counter, audiences);
  if (!isDone) throw new AuthError(REASONS.rotate, { retryAfterMs: 0 });
  return { ...session, audiences };
}

/** Committed before the caller hears of it: a throw inside the transaction would roll it back. */
async function endStolenSession(
  { store, revocationFeed, now }: Pick<Deps, 'store' | 'revocationFeed' | 'now'>,
  { sessionId, user }: Session,
  { origin }: Call,
): Promise<void> {
  const detected = audit({ type: 'refresh_reuse_detected', userId: user.id, sessionId, origin });
  await store.sessions.end(sessionId, now(), [detected]);
  await revocationFeed.catchUp();
}

const REASONS = {
  reuse: 'REFRESH_TOKEN_REUSED',
  ended: 'SESSION_ENDED',
  expired: 'SESSION_EXPIRED',
  invalid: 'REFRESH_TOKEN_INVALID',
  // The row changed between the two statements, as when an account is enabled again. Nothing is lost by a retry.
  rotate: 'DEPENDENCY_UNAVAILABLE',
} as const satisfies Record<Exclude<RefreshVerdict, 'replay'>, string>;

/** Names an attempt; it is compared, never shown. */
function parseRequestId(text: string): string {
  if (!/^[\x20-\x7e]{0,128}$/.test(text)) throw new InvalidValue('must be at most 128 printable ASCII characters');
  return text;
}
