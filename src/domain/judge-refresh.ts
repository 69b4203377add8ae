/** A session as its row tells, when the presented token was not the current one of a live session. */
export type SessionState = {
  /** The number of the current token. */
  counter: number;
  /** When the current token was made by a rotation; null while it is the first. */
  rotatedAt: Date | null;
  /** The request_id of that rotation; empty if it had none. */
  rotationRequestId: string;
  endedAt: Date | null;
  /** When the session ends if it is not used. */
  expiresAt: Date;
};

export type RefreshVerdict = 'rotate' | 'replay' | 'reuse' | 'ended' | 'expired' | 'invalid';

/** How long the immediate predecessor gets the same successor again, whoever asks. */
const REPLAY_GRACE_MS = 30_000;

/**
 * What a genuine refresh token is worth. The current one rotates. Its immediate predecessor is a lost answer or a race
 * and gets the same successor again (`replay`): within the grace always, and later with the request_id that made the
 * successor. The successor is unused for as long as it is current. Anything older has been stolen (RFC 9700, 4.14.2).
 * A number not yet reached comes from a database that went back in time: `invalid`, and no reason to end the session.
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
