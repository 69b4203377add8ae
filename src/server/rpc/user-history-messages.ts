import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import {
  type CountedLimitSchema,
  type GetUserActivityResponseSchema,
  MailRecord_State,
  type MailRecordSchema,
  SessionRecord_EndReason,
  type SessionRecordSchema,
  type SignInSchema,
} from '../../../gen/latchkey/auth/v1/admin_service_pb.ts';
import type { UserActivity } from '../../admin/get-user-activity.ts';
import type { CountedLimit } from '../../limits/counted-limits.ts';
import { networkOfPair } from '../../limits/limit-buckets.ts';
import type { MailRecord, MailState } from '../../store/merge-mails.ts';
import type { SessionRecord, SignIn } from '../../store/user-history.ts';

export function activityMessage(activity: UserActivity): MessageInitShape<typeof GetUserActivityResponseSchema> {
  const { limits, signIns, mails } = activity;
  return {
    limits: (limits ?? []).map(limitMessage),
    limitsUnavailable: limits === null,
    signIns: signIns.map(signInMessage),
    mails: mails.map(mailMessage),
  };
}

function limitMessage(counted: CountedLimit): MessageInitShape<typeof CountedLimitSchema> {
  const { limit, count, maximum, until, isReached } = counted;
  const network = networkOfPair(counted) ?? '';
  return { limit, network, count, maximum, resetsAt: timestampFromDate(until), reached: isReached };
}

function signInMessage(signIn: SignIn): MessageInitShape<typeof SignInSchema> {
  const { at, isSuccess, cause, sessionId, address, userAgent } = signIn;
  return {
    occurredAt: timestampFromDate(at),
    succeeded: isSuccess,
    cause: cause ?? '',
    sessionId: sessionId ?? '',
    address,
    userAgent,
  };
}

const MAIL_STATES: Record<MailState, MailRecord_State> = {
  waiting: MailRecord_State.WAITING,
  sending: MailRecord_State.SENDING,
  sent: MailRecord_State.SENT,
  failed: MailRecord_State.FAILED,
  expired: MailRecord_State.EXPIRED,
};

function mailMessage(mail: MailRecord): MessageInitShape<typeof MailRecordSchema> {
  const { id, template, state, at, attempts, messageId, response, error, nextAttemptAt } = mail;
  return {
    id,
    template,
    state: MAIL_STATES[state],
    at: timestampFromDate(at),
    attempts: attempts ?? 0,
    messageId: messageId ?? '',
    response: response ?? '',
    error: error ?? '',
    ...(nextAttemptAt && { nextAttemptAt: timestampFromDate(nextAttemptAt) }),
  };
}

const END_REASONS: Record<NonNullable<SessionRecord['endReason']>, SessionRecord_EndReason> = {
  expired: SessionRecord_EndReason.EXPIRED,
  logged_out: SessionRecord_EndReason.LOGGED_OUT,
  revoked: SessionRecord_EndReason.REVOKED,
  too_many_sessions: SessionRecord_EndReason.TOO_MANY_SESSIONS,
  refresh_token_reused: SessionRecord_EndReason.REFRESH_TOKEN_REUSED,
  password_changed: SessionRecord_EndReason.PASSWORD_CHANGED,
  password_reset: SessionRecord_EndReason.PASSWORD_RESET,
  email_change_undone: SessionRecord_EndReason.EMAIL_CHANGE_UNDONE,
  identity_unlinked: SessionRecord_EndReason.IDENTITY_UNLINKED,
  factor_removed: SessionRecord_EndReason.FACTOR_REMOVED,
  user_disabled: SessionRecord_EndReason.USER_DISABLED,
  new_password_required: SessionRecord_EndReason.NEW_PASSWORD_REQUIRED,
  ended_by_administrator: SessionRecord_EndReason.ENDED_BY_ADMINISTRATOR,
};

export function sessionMessage(session: SessionRecord): MessageInitShape<typeof SessionRecordSchema> {
  const { id, createdAt, lastUsedAt, expiresAt, address, userAgent, endedAt, endReason, endedBy } = session;
  return {
    id,
    createdAt: timestampFromDate(createdAt),
    lastUsedAt: timestampFromDate(lastUsedAt),
    expiresAt: timestampFromDate(expiresAt),
    address,
    userAgent,
    ...(endedAt && { endedAt: timestampFromDate(endedAt) }),
    ...(endReason && { endReason: END_REASONS[endReason] }),
    endedBy: endedBy ?? '',
  };
}
