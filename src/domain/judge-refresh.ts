/** A session whose presented token is not the current token of a live session. */
export type SessionState = {
  counter: number;
  /** The time of the rotation that made the current token; null while it is the first one. */
  rotatedAt: Date | null;
  /** The request_id of that rotation; may be empty. */
  rotationRequestId: string;
  endedAt: Date | null;
  /** The time when the session ends if it is not used. */
  expiresAt: Date;
};

export type RefreshVerdict = 'rotate' | 'replay' | 'reuse' | 'ended' | 'expired' | 'invalid';

const REPLAY_GRACE_MS = 30_000;

/**
 * Requires an authentic token. The predecessor of the current one comes from a lost answer or a race, and returns the
 * same successor again (`replay`): always within the grace, and later with the request_id that made the successor. An
 * older token has been stolen (RFC 9700 section 4.14.2). A number ahead of the session comes from a restored database:
 * it is `invalid`, and the session continues.
 */
export function judgeRefresh(session: SessionState, counter: number, requestId: string, now: Date): RefreshVerdict {
  if (session.endedAt) return 'ended';
  if (counter > session.counter) return 'invalid';
  if (session.expiresAt <= now) return 'expired';
  if (counter === session.counter) return 'rotate';
  if (counter < session.counter - 1 || !session.rotatedAt) return 'reuse';
  const isRetry = requestId !== '' && requestId === session.rotationRequestId;
  const inGrace = now.getTime() - session.rotatedAt.getTime() <= REPLAY_GRACE_MS;
  return isRetry || inGrace ? 'replay' : 'reuse';
}
