import { readFileSync } from 'node:fs';
import { type Anchor, createChainVerifier } from '../domain/audit-chain.ts';
import { isAuditType } from '../domain/audit-event-types.ts';
import { isUuid } from '../domain/uuid.ts';
import { OperatorError } from '../process/operator-error.ts';
import type { Command } from './command.ts';
import type { Operator } from './operator.ts';
import { operatorCommand } from './operator-command.ts';
import type { Output } from './output.ts';
import { parseTime } from './parse-time.ts';

type ListOptions = { user: string; actor: string; type: string; from: string; until: string; limit: string };

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
      actor: { value: 'actor', help: 'events that this actor caused, such as user:<id>' },
      type: { value: 'type', help: 'events of this type, such as login_failed' },
      from: { value: 'time', help: 'events at or after this time, such as 2030-01-31' },
      until: { value: 'time', help: 'events before this time' },
      limit: { value: 'number', help: `number of events, 1 to ${MAX_LISTED} (default: ${LISTED})` },
    },
    run: (operator, { options, output }) => listAuditEvents(operator, options, output),
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

async function listAuditEvents({ deps }: Operator, options: ListOptions, output: Output): Promise<void> {
  const { user, actor, type } = options;
  if (user !== '' && !isUuid(user)) throw new OperatorError('--user must be the ID of a user');
  if (type !== '' && !isAuditType(type)) {
    throw new OperatorError('--type must be an audit event type, such as role_granted');
  }
  const limit = options.limit === '' ? LISTED : Number(options.limit);
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LISTED) {
    throw new OperatorError(`--limit must be 1 to ${MAX_LISTED}`);
  }
  const times = { from: parseTime('--from', options.from), until: parseTime('--until', options.until) };
  const events = await deps.store.auditTrail.before(null, { userId: user, actor, type, ...times }, limit);
  output.rows(
    events.map((event) => ({
      seq: String(event.seq),
      at: event.occurredAt,
      type: event.type,
      user: event.userId,
      actor: event.actor,
      target: event.target,
      detail: event.detail,
      address: event.address,
      request: event.requestId,
    })),
    'no events',
  );
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
    throw new OperatorError(`the audit trail was changed: ${problems.length} problems`);
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
