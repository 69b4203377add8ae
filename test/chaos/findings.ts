// Compares the ledger with the database, the audit trail and the mail server.
import { SETUP } from './administrator.ts';
import type { Kind, Ledger, Operation } from './ledger.ts';
import type { MailSink } from './mail-sink.ts';
import { GRANTED_ROLE } from './people.ts';
import type { PostgresPair } from './postgres-pair.ts';

/** Each with the sentence that describes it, most important first. */
export type Findings = { lost: string[]; duplicated: string[]; invented: string[] };

type Effects = {
  audit: string;
  /** Carrying it out again has no second effect. */
  once: boolean;
  /** The subject of the mail that it sends. */
  subject?: RegExp;
};

const EFFECTS: Record<Kind, Effects> = {
  Register: { audit: 'registered', once: true },
  Login: { audit: 'login_succeeded', once: false },
  Refresh: { audit: 'refreshed', once: true },
  Logout: { audit: 'logged_out', once: true },
  RequestReset: { audit: 'reset_requested', once: false, subject: /^Set a new password$/ },
  ChangePassword: { audit: 'password_changed', once: true, subject: /^Your password was changed$/ },
  GrantRole: { audit: 'role_granted', once: false },
};

export type Evidence = {
  ledger: Ledger;
  postgres: Pick<PostgresPair, 'primary'>;
  mailSink: Pick<MailSink, 'mails'>;
  auditSince: string;
};

export async function compare(evidence: Evidence): Promise<Findings> {
  const findings: Findings = { lost: [], duplicated: [], invented: [] };
  findings.lost.push(...(await missingRows(evidence)));
  await compareAudit(evidence, findings);
  compareMails(evidence, findings);
  return findings;
}

async function missingRows({ ledger, postgres: { primary } }: Evidence): Promise<string[]> {
  const done = ledger.operations.filter((operation) => operation.isAcknowledged);
  const of = (kind: Kind) => done.filter((operation) => operation.kind === kind);
  const present = async (sql: string, keys: (string | undefined)[], ...more: unknown[]) => {
    const rows = await primary.query(sql, [keys.filter((key) => key !== undefined), ...more]);
    return new Set(rows.map(({ key }) => key));
  };
  const [emails, sessions, ended, changed, granted] = [
    await present(
      'SELECT email AS key FROM users WHERE email = ANY($1)',
      of('Register').map(({ email }) => email),
    ),
    await present(
      'SELECT id AS key FROM sessions WHERE id = ANY($1)',
      of('Login').map(({ sessionId }) => sessionId),
    ),
    await present(
      'SELECT id AS key FROM sessions WHERE id = ANY($1) AND ended_at IS NOT NULL',
      of('Logout').map(({ sessionId }) => sessionId),
    ),
    await present(
      'SELECT id AS key FROM users WHERE id = ANY($1) AND password_epoch > 1',
      of('ChangePassword').map(({ userId }) => userId),
    ),
    await present(
      'SELECT user_id AS key FROM user_roles WHERE user_id = ANY($1) AND role = $2',
      of('GrantRole').map(({ userId }) => userId),
      GRANTED_ROLE,
    ),
  ];
  const without = (operations: Operation[], has: (operation: Operation) => boolean, what: string) =>
    operations.filter((operation) => !has(operation)).map(({ kind }) => `${kind}: ${what}`);
  return [
    ...without(of('Register'), ({ email }) => emails.has(email), 'no such account'),
    ...without(of('Login'), ({ sessionId }) => sessions.has(sessionId), 'no such session'),
    ...without(of('Logout'), ({ sessionId }) => ended.has(sessionId), 'the session has not ended'),
    ...without(of('ChangePassword'), ({ userId }) => changed.has(userId), 'the password is the former one'),
    ...without(of('GrantRole'), ({ userId }) => granted.has(userId), 'the user does not hold the role'),
    ...(await missingRotations(of('Refresh'), primary)),
  ];
}

/** Each Refresh increases the counter of its session by one. */
async function missingRotations(refreshes: Operation[], primary: PostgresPair['primary']): Promise<string[]> {
  const expected = new Map<string, number>();
  for (const { sessionId = '' } of refreshes) expected.set(sessionId, (expected.get(sessionId) ?? 0) + 1);
  const rows = await primary.query('SELECT id, counter FROM sessions WHERE id = ANY($1)', [[...expected.keys()]]);
  const counters = new Map(rows.map(({ id, counter }) => [id, Number(counter)]));
  return [...expected].flatMap(([id, count]) => {
    const missing = count + 1 - (counters.get(id) ?? 1);
    return Array.from({ length: Math.max(0, missing) }, () => 'Refresh: the rotation is missing');
  });
}

/** Each acknowledged operation has its event, and each event has an attempt that can have caused it. */
async function compareAudit(
  { ledger, postgres: { primary }, auditSince }: Evidence,
  findings: Findings,
): Promise<void> {
  const rows = await primary.query(
    `SELECT type, request_id, count(*)::int AS count FROM audit_events
      WHERE seq > $1 AND request_id NOT IN ('', $2) GROUP BY 1, 2`,
    [auditSince, `${ledger.prefix}${SETUP}`],
  );
  const causes = new Map(
    ledger.operations.flatMap((operation) =>
      operation.attempts.map((one) => [one.requestId, { operation, one }] as const),
    ),
  );
  const counts = new Map<string, number>();
  for (const { type, request_id: id, count } of rows) {
    const cause = causes.get(id);
    const isCaused = cause && EFFECTS[cause.operation.kind].audit === type && cause.one.outcome !== 'unsent';
    if (!isCaused && !(cause && isRejection(type)))
      findings.invented.push(`an event ${type} without a call that caused it`);
    if (count > 1) findings.duplicated.push(`${count} events ${type} of one request`);
    if (isCaused) counts.set(id, count);
  }
  for (const operation of ledger.operations) judgeEvents(operation, counts, findings);
}

/** These belong to responses, which are judged on arrival. */
function isRejection(type: string): boolean {
  return [
    'login_failed',
    'register_refused',
    'reauthentication_failed',
    'refresh_reuse_detected',
    'throttled',
  ].includes(type);
}

function judgeEvents(operation: Operation, counts: Map<string, number>, findings: Findings): void {
  const { audit, once } = EFFECTS[operation.kind];
  const found = operation.attempts.filter(({ requestId }) => counts.has(requestId)).length;
  if (once) {
    if (operation.isAcknowledged && found === 0) findings.lost.push(`${operation.kind}: no event ${audit}`);
    if (found > 1) findings.duplicated.push(`${operation.kind}: ${found} events ${audit}`);
    return;
  }
  for (const { requestId, outcome } of operation.attempts) {
    if (outcome === 'acknowledged' && !counts.has(requestId))
      findings.lost.push(`${operation.kind}: no event ${audit}`);
  }
}

/** Each acknowledged order has its mail, and each attempt at most one Message-ID. */
function compareMails({ ledger, mailSink }: Evidence, findings: Findings): void {
  for (const kind of ['RequestReset', 'ChangePassword'] as const) {
    const { subject, once } = EFFECTS[kind];
    const mails = mailSink.mails.filter((mail) => subject?.test(mail.subject));
    for (const operation of ledger.operations.filter((one) => one.kind === kind)) {
      const ids = new Set(mails.filter(({ to }) => to === operation.email).map(({ messageId }) => messageId)).size;
      const { attempts, isAcknowledged } = operation;
      const acknowledged = attempts.filter(({ outcome }) => outcome === 'acknowledged').length;
      const possible = attempts.filter(({ outcome }) => outcome === 'acknowledged' || outcome === 'unknown').length;
      const [least, most] = once ? [isAcknowledged ? 1 : 0, Math.min(possible, 1)] : [acknowledged, possible];
      if (ids < least) findings.lost.push(`${kind}: no mail`);
      if (ids > most)
        (most === 0 ? findings.invented : findings.duplicated).push(`${kind}: ${ids} mails with different Message-IDs`);
    }
  }
  findings.invented.push(...mailsWithoutCause(ledger, mailSink));
}

function mailsWithoutCause(ledger: Ledger, { mails }: Pick<MailSink, 'mails'>): string[] {
  const ordered = new Map<string, RegExp>();
  for (const { kind, email } of ledger.operations) {
    const { subject } = EFFECTS[kind];
    if (subject) ordered.set(email, subject);
  }
  return mails
    .filter(({ to, subject }) => !ordered.get(to)?.test(subject))
    .map(({ subject }) => `a mail "${subject}" without an order`);
}
