// `audit`: what has happened, and whether the trail of it is whole.
import { readFileSync } from 'node:fs';
import { type Anchor, createChainVerifier } from '../domain/audit-chain.ts';
import { isAuditType } from '../domain/audit-event-types.ts';
import { isUuid } from '../domain/uuid.ts';
import { OperatorError } from '../process/operator-error.ts';
import type { Operator } from './operator.ts';
import type { Output } from './output.ts';
import { parseTime } from './parse-time.ts';

export type AuditOptions = { user: string; actor: string; type: string; from: string; until: string; limit: string };

const PAGE = 1_000;
const MAX_LISTED = 10_000;
/** Of the log or of AUDIT_ANCHOR_FILE: whatever else stands on a line. */
const ANCHOR = /"audit_seq":"(\d{1,18})","audit_hash":"([0-9a-f]{64})"/;

/** The newest first. */
export async function listAuditEvents({ deps }: Operator, options: AuditOptions, output: Output): Promise<void> {
  const { user, actor, type } = options;
  if (user !== '' && !isUuid(user)) throw new OperatorError('--user must be the id of a user');
  if (type !== '' && !isAuditType(type))
    throw new OperatorError('--type must be an audit event type, such as role_granted');
  const limit = options.limit === '' ? 50 : Number(options.limit);
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

/**
 * @param anchorsFile lines of the log, or of AUDIT_ANCHOR_FILE; empty for none
 * @throws OperatorError when something is wrong, after saying what
 */
export async function verifyAuditTrail({ deps }: Operator, anchorsFile: string, output: Output): Promise<void> {
  const verifier = createChainVerifier(anchorsFile === '' ? [] : readAnchors(anchorsFile));
  const end = await deps.store.auditTrail.read(PAGE, verifier.add);
  const { events, first, last, hash, drops, problems } = verifier.finish(end);
  if (problems.length > 0) {
    output.rows(
      problems.map(({ seq, problem }) => ({ event: String(seq), problem })),
      '',
    );
    throw new OperatorError(`the audit trail is not whole: ${problems.length} problems`);
  }
  const dropped = drops.map(({ lastSeq, by, at }) => `up to ${lastSeq} by ${by} at ${at}`);
  output.record({ events, first: String(first), last: String(last), hash, dropped });
  output.say(dropped.length === 0 ? 'the audit trail is whole' : 'the audit trail is whole, but for what was dropped');
}

/** Whole months before a day. As the owner of the schema. */
export async function dropAuditEvents({ deps }: Operator, before: string, output: Output): Promise<void> {
  const time = parseTime('--before', before);
  if (!time) throw new OperatorError('--before is required: a day such as 2030-01-01');
  const thisMonth = new Date(new Date().toISOString().slice(0, 7));
  if (time > thisMonth) throw new OperatorError('--before must not be later than the first of this month');
  const dropped = await deps.store.auditTrail.drop(time);
  output.rows(
    dropped.map(({ dropped: partition, events }) => ({ partition, events })),
    'no whole month of events is older',
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
