import { readFileSync } from 'node:fs';
import { personOf } from '../admin/audit-filter.ts';
import { closestName } from '../config/closest-name.ts';
import { readMasterKeys } from '../config/config.ts';
import { type Anchor, createChainVerifier } from '../domain/audit-chain.ts';
import type { AuditRecord } from '../domain/audit-event.ts';
import { AUDIT_EVENT_TYPES, AUDIT_TYPES, isAuditType } from '../domain/audit-event-types.ts';
import { parseEmail } from '../domain/email.ts';
import { InvalidValue, parseFields } from '../domain/parse-fields.ts';
import { parseNetwork } from '../domain/parse-network.ts';
import { isUuid } from '../domain/uuid.ts';
import { derivePurposeKeys } from '../keys/purpose-keys.ts';
import { OperatorError } from '../process/operator-error.ts';
import { type Command, defineCommand } from './command.ts';
import type { Operator } from './operator.ts';
import { COMMON_OPTIONS, operatorCommand } from './operator-command.ts';
import { createOutput, type Output, problemCount, type Row } from './output.ts';
import { parseLimit } from './parse-limit.ts';
import { parseTime } from './parse-time.ts';

type ListOptions = {
  user: string;
  email: string;
  actor: string;
  target: string;
  type: string;
  network: string;
  from: string;
  until: string;
  limit: string;
};

const PAGE = 1_000;
const LISTED = 50;
const MAX_LISTED = 10_000;
const ANCHOR = /"audit_seq":"(\d{1,18})","audit_hash":"([0-9a-f]{64})"/;

export const AUDIT_COMMANDS: Command[] = [
  operatorCommand({
    path: 'audit list',
    summary: 'Lists audit events, the newest first.',
    options: {
      user: { value: 'id', help: 'events about this user' },
      email: {
        value: 'email',
        help: 'events about this email and its users, also one that has another email now or was deleted; requires MASTER_KEY',
      },
      actor: { value: 'actor', help: 'events that this actor caused, such as user:<id>' },
      target: { value: 'target', help: 'events about this object, such as role:editor' },
      type: { value: 'type', help: 'events of this type, such as login_failed; "audit types" lists them' },
      network: { value: 'address', help: 'events from this address or network, such as 203.0.113.0/24' },
      from: { value: 'time', help: 'events at or after this time, such as 2030-01-31' },
      until: { value: 'time', help: 'events before this time' },
      limit: { value: 'number', help: `number of events, 1 to ${MAX_LISTED} (default: ${LISTED})` },
    },
    run: (operator, { options, output }) => listAuditEvents(operator, options, output),
  }),
  defineCommand({
    path: 'audit types',
    summary: 'Lists the types of audit events with their meaning.',
    options: { json: COMMON_OPTIONS.json },
    async run({ options }) {
      const output = createOutput(options.json, (text) => process.stdout.write(text));
      output.rows(
        Object.entries(AUDIT_EVENT_TYPES).map(([type, meaning]) => ({ type, meaning })),
        '',
      );
    },
  }),
  operatorCommand({
    path: 'audit verify',
    summary: 'Finds events that were changed, removed or moved. Exits with 1 if there are any.',
    options: { anchors: { value: 'file', help: 'lines of the log or of AUDIT_ANCHOR_FILE to compare the trail with' } },
    run: (operator, { options, output }) => verifyAuditTrail(operator, options.anchors, output),
  }),
  operatorCommand({
    path: 'audit drop',
    summary: 'Deletes whole months of events permanently. The remaining events can still be verified.',
    details: 'Connects with MIGRATION_DATABASE_URL.',
    options: {
      before: { value: 'day', isRequired: true, help: 'delete months that end before this day, such as 2030-01-01' },
    },
    asOwner: true,
    run: (operator, { options, output }) => dropAuditEvents(operator, options.before, output),
  }),
];

async function listAuditEvents(operator: Operator, options: ListOptions, output: Output): Promise<void> {
  const { user, actor, target } = options;
  if (user !== '' && !isUuid(user)) throw new OperatorError('--user must be the ID of a user');
  assertType(options.type);
  const network = networkOf(options.network);
  const limit = parseLimit(options.limit, { otherwise: LISTED, most: MAX_LISTED });
  const times = { from: parseTime('--from', options.from), until: parseTime('--until', options.until) };
  const person = options.email === '' ? {} : { person: await personAt(operator, options.email) };
  const filter = { userId: user, actor, target, network, type: options.type, ...times, ...person };
  const found = await operator.deps.store.auditTrail.before(null, filter, limit + 1);
  const events = found.slice(0, limit);
  output.rows(output.isJson ? events.map(toRecord) : events.map(toRow), 'no events');
  if (found.length > limit) output.note(`These are the newest ${limit}; --limit shows more.`);
}

/** @throws OperatorError that names the closest type */
function assertType(type: string): void {
  if (type === '' || isAuditType(type)) return;
  const closest = closestName(type, AUDIT_TYPES);
  const hint = closest === null ? 'such as role_granted; "audit types" lists them' : `did you mean ${closest}?`;
  throw new OperatorError(`--type must be an audit event type: ${hint}`);
}

/** @throws OperatorError */
function networkOf(text: string): string {
  try {
    return text === '' ? '' : parseNetwork(text);
  } catch (error) {
    throw error instanceof InvalidValue ? new OperatorError(`--network ${error.message}`) : error;
  }
}

async function personAt({ deps, environment }: Operator, text: string) {
  const { email } = parseFields({ email: () => parseEmail(text) });
  return personOf({ ...deps, purposeKeys: derivePurposeKeys(readMasterKeys(environment)) }, email);
}

function toRow(event: AuditRecord): Row {
  return {
    seq: String(event.seq),
    at: event.occurredAt,
    type: event.type,
    user: event.userId,
    actor: event.actor,
    target: event.target,
    detail: event.detail,
    address: event.address,
    request: event.requestId,
  };
}

function toRecord({ id, sessionId, account, before, after, userAgent, hash, ...event }: AuditRecord): Row {
  return {
    ...toRow({ id, sessionId, account, before, after, userAgent, hash, ...event }),
    id,
    session: sessionId,
    account,
    before: before as Row | null,
    after: after as Row | null,
    user_agent: userAgent,
    hash: hash.toString('hex'),
  };
}

/** @param anchorsFile empty for none @throws OperatorError after it has printed the problems */
async function verifyAuditTrail({ deps }: Operator, anchorsFile: string, output: Output): Promise<void> {
  const verifier = createChainVerifier(anchorsFile === '' ? [] : readAnchors(anchorsFile));
  const end = await deps.store.auditTrail.read(PAGE, verifier.add);
  const { events, first, last, hash, drops, problems } = verifier.finish(end);
  if (problems.length > 0) {
    output.rows(
      problems.map(({ seq, problem }) => ({ event: String(seq), problem })),
      '',
    );
    throw new OperatorError(`the audit trail was changed: ${problemCount(problems.length)}`);
  }
  const dropped = drops.map(({ lastSeq, by, at }) => `up to ${lastSeq} by ${by} at ${at}`);
  output.record({ events, first: String(first), last: String(last), hash, dropped });
  output.message(
    dropped.length === 0 ? 'the audit trail is whole' : 'the audit trail is whole, except for the dropped months',
  );
}

async function dropAuditEvents({ deps }: Operator, before: string, output: Output): Promise<void> {
  const time = parseTime('--before', before);
  if (!time) throw new OperatorError('--before is required: a day such as 2030-01-01');
  const thisMonth = new Date(new Date().toISOString().slice(0, 7));
  if (time > thisMonth) throw new OperatorError('--before must not be later than the first of this month');
  const dropped = await deps.store.auditTrail.drop(time);
  output.rows(
    dropped.map(({ dropped: partition, events }) => ({ partition, events })),
    'no whole month of events is older than that day',
  );
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch {
    throw new OperatorError(`${file} cannot be read`);
  }
}

function readAnchors(file: string): Anchor[] {
  const lines = readLines(file);
  const anchors = lines.flatMap((line) => {
    const [, seq, hash] = ANCHOR.exec(line) ?? [];
    return seq && hash && seq !== '0' ? [{ seq: BigInt(seq), hash }] : [];
  });
  if (anchors.length === 0) throw new OperatorError(`${file} has no anchors`);
  return anchors;
}
