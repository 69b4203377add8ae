// The commands that answer questions about users, and the one that unlocks them.

import { countedAccountOf } from '../admin/counted-account.ts';
import { getUser } from '../admin/get-user.ts';
import { recentHistory } from '../admin/get-user-activity.ts';
import { listUserFactors } from '../admin/list-user-factors.ts';
import { listUserSessions } from '../admin/list-user-sessions.ts';
import { searchUsers } from '../admin/search-users.ts';
import { unlockUser } from '../admin/unlock-user.ts';
import type { User } from '../domain/user.ts';
import type { CountedLimit } from '../limits/counted-limits.ts';
import { REJECTING_NO_CALL } from '../limits/limits.ts';
import { OperatorError } from '../process/operator-error.ts';
import type { SessionRecord } from '../store/user-history.ts';
import type { FoundUser, UserRecord } from '../store/user-records.ts';
import type { Command } from './command.ts';
import { factorRow } from './factors.ts';
import { identify } from './identify.ts';
import { limitRow } from './limits.ts';
import type { Operator } from './operator.ts';
import { operatorCommand, REASON } from './operator-command.ts';
import type { Output, Row } from './output.ts';
import { parseLimit } from './parse-limit.ts';
import { USER } from './user-argument.ts';

const LISTED = 50;
const MAX_LISTED = 10_000;
const PAGE = 100;
const LIMIT = { limit: { value: 'number', help: `number of rows, 1 to ${MAX_LISTED} (default: ${LISTED})` } } as const;
const WITH_REDIS = 'REDIS_URL, MASTER_KEY and the LIMIT_... keys of the service';

export const USER_INQUIRIES: Command[] = [
  operatorCommand({
    path: 'users search',
    summary:
      'Lists the users that match all given filters, by e-mail address with --email, otherwise the oldest account first.',
    options: {
      email: { value: 'prefix', help: 'the beginning of the e-mail address' },
      role: { value: 'role', help: 'a role that the user holds, granted or implied' },
      disabled: { help: 'disabled users only' },
      enabled: { help: 'enabled users only' },
      ...LIMIT,
    },
    run: search,
  }),
  operatorCommand({
    path: 'users show',
    summary:
      'Shows an account: roles, second factors, locks, the latest sign-ins, the sessions, and the e-mails that were sent.',
    details: `Whether the user is locked requires ${WITH_REDIS}; without them the other answers are shown.`,
    arguments: USER,
    run: show,
  }),
  operatorCommand({
    path: 'users sessions',
    summary: 'Lists the sessions of a user, the newest first, with the reason for which each ended.',
    details: 'A session that has ended or expired is listed for a week.',
    arguments: USER,
    options: LIMIT,
    run: showSessions,
  }),
  operatorCommand({
    path: 'users unlock',
    summary: 'Clears the counted attempts of a user, who can try again at once, from every network.',
    details: `The limits of a network itself, such as LOGIN_NETWORK, stay: "limits reset --network" clears them. Requires ${WITH_REDIS}.`,
    arguments: USER,
    options: REASON,
    run: unlock,
  }),
];

type SearchOptions = { email: string; role: string; disabled: boolean; enabled: boolean; limit: string };

async function search(
  { deps }: Operator,
  {
    options: { email: emailPrefix, role, disabled, enabled, limit },
    output,
  }: { options: SearchOptions; output: Output },
): Promise<void> {
  const atMost = parseLimit(limit, { otherwise: LISTED, most: MAX_LISTED });
  if (disabled && enabled) throw new OperatorError('--disabled and --enabled exclude each other');
  const filter = { emailPrefix, role, disabled: disabled === enabled ? null : disabled };
  const { found, isComplete } = await collect(atMost, async (page) => {
    const { users, nextPageToken } = await searchUsers(deps, { ...filter, ...page });
    return { found: users, nextPageToken };
  });
  output.rows(found.map(foundRow), 'no user matches');
  if (!isComplete) output.message(`These are the first ${atMost}; --limit shows more.`);
}

async function showSessions(
  { deps }: Operator,
  { args, options, output }: { args: { user: string }; options: { limit: string }; output: Output },
): Promise<void> {
  const atMost = parseLimit(options.limit, { otherwise: LISTED, most: MAX_LISTED });
  const { user } = await getUser(deps, identify(args.user));
  const { found, isComplete } = await collect(atMost, async (page) => {
    const { sessions, nextPageToken } = await listUserSessions(deps, { userId: user.id, ...page });
    return { found: sessions, nextPageToken };
  });
  output.rows(found.map(sessionRow), 'no sessions in the last week');
  if (!isComplete) output.message(`These are the newest ${atMost}; --limit shows more.`);
}

async function show(operator: Operator, { args, output }: { args: { user: string }; output: Output }): Promise<void> {
  const { deps } = operator;
  const record = await getUser(deps, identify(args.user));
  const { user } = record;
  const { limits, problem } = await limitsOf(operator, user);
  const { signIns, mails } = await recentHistory(deps, user);
  const { sessions } = await listUserSessions(deps, { userId: user.id, pageSize: 20, pageToken: '' });
  const { factors, recoveryCodesLeft } = await listUserFactors(deps, { userId: user.id });
  output.report(
    { ...userRow(record), recovery_codes_left: recoveryCodesLeft, ...lockRow(limits, problem) },
    {
      factors: factors.map(factorRow),
      limits: (limits ?? []).map(limitRow),
      latest_sign_ins: signIns.map(({ at, isSuccess, cause, sessionId, address, userAgent }) => ({
        at,
        result: isSuccess ? 'succeeded' : 'failed',
        cause,
        session: sessionId,
        address,
        user_agent: userAgent,
      })),
      latest_sessions: sessions.map(sessionRow),
      latest_mails: mails.map(({ at, template, state, messageId, response, error, attempts, nextAttemptAt, id }) => ({
        at,
        template,
        state,
        message_id: messageId,
        smtp_answer: response,
        error,
        attempts,
        next_attempt_at: nextAttemptAt,
        id,
      })),
    },
  );
}

async function unlock(
  operator: Operator,
  { args, options, output }: { args: { user: string }; options: { reason: string }; output: Output },
): Promise<void> {
  const { deps, actor, call } = operator;
  const { user } = await getUser(deps, identify(args.user));
  const desk = await operator.limits();
  const input = { actor, userId: user.id, reason: options.reason, address: '' };
  const cleared = await unlockUser({ ...deps, ...desk }, input, call);
  output.rows(
    cleared.map((limit) => ({ unlocked: limit })),
    `${user.email} had no counted attempts`,
  );
  if (cleared.length > 0) output.message(`${user.email} can try again at once`);
}

/** An account is shown also when the limits cannot be read. */
async function limitsOf(operator: Operator, user: User): Promise<{ limits: CountedLimit[] | null; problem: string }> {
  try {
    const { countedLimits, purposeKeys } = await operator.limits();
    const account = await countedAccountOf({ ...operator.deps, purposeKeys }, user);
    return { limits: await countedLimits.ofAccount(account), problem: '' };
  } catch (error) {
    return { limits: null, problem: `unknown: ${oneLine(error)}` };
  }
}

function oneLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\s+/g, ' ');
}

function lockRow(limits: CountedLimit[] | null, problem: string): Row {
  if (limits === null) return { locked: null, locked_by: [], locked_until: null, lock_problem: problem };
  const reached = limits.filter(({ limit, isReached }) => isReached && !REJECTING_NO_CALL.includes(limit));
  const last = Math.max(...reached.map(({ until }) => until.getTime()));
  return {
    locked: reached.length > 0,
    locked_by: [...new Set(reached.map(({ limit }) => limit))],
    locked_until: reached.length > 0 ? new Date(last) : null,
    lock_problem: null,
  };
}

type Page = { pageSize: number; pageToken: string };

async function collect<T>(
  atMost: number,
  next: (page: Page) => Promise<{ found: T[]; nextPageToken: string }>,
): Promise<{ found: T[]; isComplete: boolean }> {
  const all: T[] = [];
  let pageToken = '';
  do {
    const page = await next({ pageSize: Math.min(PAGE, atMost - all.length), pageToken });
    all.push(...page.found);
    pageToken = page.nextPageToken;
  } while (pageToken !== '' && all.length < atMost);
  return { found: all, isComplete: pageToken === '' };
}

function sessionRow(session: SessionRecord): Row {
  const { id, createdAt, lastUsedAt, expiresAt, endedAt, endReason, endedBy, address, userAgent } = session;
  const ended = endReason === 'expired' ? 'expired' : 'ended';
  return {
    id,
    state: endedAt === null ? 'active' : ended,
    created_at: createdAt,
    last_used_at: lastUsedAt,
    expires_at: expiresAt,
    ended_at: endedAt,
    end_reason: endReason ?? (endedAt === null ? null : 'unknown'),
    ended_by: endedBy,
    address,
    user_agent: userAgent,
  };
}

function foundRow(found: FoundUser): Row {
  return { ...accountRow(found), roles: found.user.roles, external_id: found.externalId };
}

function accountRow({ user, disabledAt, hasPassword }: Pick<FoundUser, 'user' | 'disabledAt' | 'hasPassword'>): Row {
  const { id, email, fullName, emailVerified, createdAt } = user;
  return {
    id,
    email,
    name: fullName,
    email_verified: emailVerified,
    created_at: createdAt,
    disabled_at: disabledAt,
    has_password: hasPassword,
  };
}

export function userRow(record: UserRecord): Row {
  const { user, externalId, sessions, grants, providers } = record;
  const granted = grants.map(({ role, grantedBy, expiresAt }) => {
    const by = grantedBy === '' ? '' : ` by ${grantedBy}`;
    return `${role}${by}${expiresAt ? ` until ${expiresAt.toISOString()}` : ''}`;
  });
  return {
    ...accountRow(record),
    sessions,
    providers,
    roles: user.roles,
    granted,
    external_id: externalId,
  };
}
