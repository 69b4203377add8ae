import type { Deps } from '../deps.ts';
import type { Methods } from '../domain/acr.ts';
import type { AudienceChoice } from '../domain/audience.ts';
import type { Call } from '../domain/call.ts';
import { audit, type Effect } from '../domain/effect.ts';
import { noteForLog } from '../process/log-context.ts';
import type { ChallengeIdentity } from '../store/challenges.ts';
import type { Grant } from '../store/session-rows.ts';
import type { SecondStep, SignInFailure } from '../store/sessions.ts';
import type { Credentials } from '../store/users.ts';

export type SignIn = {
  credentials: Credentials;
  account: string;
  /** Null for a password or a passkey. */
  identity: ChallengeIdentity | null;
  audiences: AudienceChoice;
  methods: Methods;
};

export type Completion = {
  /** Null for a sign-in in one step. */
  secondStep: SecondStep | null;
  /** Written with the session. */
  effects: (sessionId: string) => Effect[];
};

const IN_ONE_STEP: Completion = { secondStep: null, effects: () => [] };

/** @returns a word when the account has changed since its credentials were read, or the proof is used */
export async function openSession(
  deps: Pick<Deps, 'store' | 'tokenSettings' | 'now' | 'newId'>,
  { credentials, account, identity, audiences, methods }: SignIn,
  { origin }: Call,
  { secondStep, effects }: Completion = IN_ONE_STEP,
): Promise<Grant | SignInFailure> {
  const { passwordEpoch, user } = credentials;
  const { sessionIdleSeconds, sessionMaxSeconds, maxSessionsPerUser } = deps.tokenSettings;
  const now = deps.now();
  const sessionId = deps.newId();
  const endsBy = new Date(now.getTime() + sessionMaxSeconds * 1000);
  const expiresAt = new Date(now.getTime() + Math.min(sessionIdleSeconds, sessionMaxSeconds) * 1000);
  const succeeded = audit({
    ...{ type: 'login_succeeded', userId: user.id, sessionId, account, origin },
    ...(identity && { detail: identity.provider }),
  });
  const location = { address: origin.address, userAgent: origin.userAgent };
  const times = { expiresAt, endsBy };
  const session = {
    id: sessionId,
    userId: user.id,
    passwordEpoch,
    ...times,
    location,
    identity,
    audiences,
    secondStep,
  };
  const auditSurplus = (id: string) =>
    audit({ type: 'session_revoked', userId: user.id, sessionId: id, detail: 'too many sessions', origin });
  const opened = await deps.store.sessions.create(
    { ...session, ...methods },
    {
      maxLive: maxSessionsPerUser,
      at: now,
      effects: (endedIds) => [succeeded, ...effects(sessionId), ...endedIds.map(auditSurplus)],
    },
  );
  if (typeof opened !== 'string') noteForLog({ user_id: user.id, session_id: sessionId });
  return opened;
}
