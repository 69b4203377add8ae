// `outbox`: mails and audit events that wait for the worker, and those that were given up.
import { isUuid } from '../domain/uuid.ts';
import { OperatorError } from '../process/operator-error.ts';
import type { OutboxEntry } from '../store/outbox-entries.ts';
import type { Operator } from './operator.ts';
import type { Output } from './output.ts';

/** Neither: both. */
export type OutboxFilter = { dead: boolean; waiting: boolean; limit: string };

const LISTED = 100;
const MAX_LISTED = 10_000;

/** Dead letters first, the last one given up first; then mails and events that wait, by their next attempt. */
export async function showOutbox({ deps }: Operator, filter: OutboxFilter, output: Output): Promise<void> {
  const { outboxEntries } = deps.store;
  const limit = parseLimit(filter.limit);
  const dead = includesDead(filter) ? await outboxEntries.dead(limit) : [];
  const waiting = includesWaiting(filter)
    ? [...(await outboxEntries.waiting('mail', limit)), ...(await outboxEntries.waiting('audit', limit))]
    : [];
  output.rows([...dead, ...waiting].slice(0, limit).map(toRow), 'nothing in the outbox');
  if (dead.length + waiting.length >= limit) output.say(`the first ${limit}; --limit shows more`);
}

/**
 * @param which an id, or `all`
 * @throws OperatorError when there is none with this id, or when a worker holds it
 */
export async function retryOutbox(
  { deps }: Operator,
  which: string,
  filter: OutboxFilter,
  output: Output,
): Promise<void> {
  const { outboxEntries } = deps.store;
  if (which === 'all') {
    const dead = includesDead(filter) ? await outboxEntries.retryDead() : 0;
    const waiting = includesWaiting(filter)
      ? (await outboxEntries.retryWaiting('mail')) + (await outboxEntries.retryWaiting('audit'))
      : 0;
    output.record({ dead_letters_revived: dead, due_now: waiting });
    return;
  }
  const state = isUuid(which) ? await outboxEntries.retry(which) : null;
  if (state === null) throw new OperatorError(`${which} is not in the outbox`);
  if (state === 'sending') throw new OperatorError(`${which} is being sent by a worker at this moment`);
  output.say(state === 'dead' ? `${which} gets a new round of attempts` : `${which} is due now`);
}

function includesDead({ dead, waiting }: OutboxFilter): boolean {
  return dead || !waiting;
}

function includesWaiting({ dead, waiting }: OutboxFilter): boolean {
  return waiting || !dead;
}

function parseLimit(text: string): number {
  const limit = text === '' ? LISTED : Number(text);
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_LISTED) return limit;
  throw new OperatorError(`--limit must be 1 to ${MAX_LISTED}`);
}

function toRow(entry: OutboxEntry) {
  const { template, type, email } = entry.payload as { template?: string; type?: string; email?: string };
  return {
    id: entry.id,
    topic: entry.topic,
    what: template ?? type ?? null,
    to: email ?? null,
    state: entry.isClaimed ? 'sending' : entry.state,
    age_seconds: Math.round(entry.ageSeconds),
    attempts: entry.attempts,
    next_attempt_at: entry.nextAttemptAt,
    given_up_at: entry.deadAt,
    last_error: entry.lastError,
    created_at: entry.createdAt,
  };
}
