import { isUuid } from '../domain/uuid.ts';
import { OperatorError } from '../process/operator-error.ts';
import type { OutboxEntry } from '../store/outbox-entries.ts';
import type { Command } from './command.ts';
import type { Operator } from './operator.ts';
import { operatorCommand } from './operator-command.ts';
import type { Output } from './output.ts';
import { parseLimit } from './parse-limit.ts';

/** With neither flag, both states are included. */
type Filter = { dead: boolean; waiting: boolean };

const LISTED = 100;
const MAX_LISTED = 10_000;

const STATES = {
  dead: { help: 'dead letters only' },
  waiting: { help: 'waiting entries only' },
} as const;

export const OUTBOX_COMMANDS: Command[] = [
  operatorCommand({
    path: 'outbox list',
    summary: 'Lists the entries with their age, attempts, next attempt and last error.',
    options: {
      ...STATES,
      limit: { value: 'number', help: `number of entries, 1 to ${MAX_LISTED} (default: ${LISTED})` },
    },
    isDefault: true,
    run: (operator, { options, output }) => showOutbox(operator, options, output),
  }),
  operatorCommand({
    path: 'outbox retry',
    summary: 'Makes entries due now. A dead letter gets a new round of attempts.',
    arguments: { entry: 'ID of an entry, or "all"' },
    options: STATES,
    run: (operator, { args, options, output }) => retryOutbox(operator, args.entry, options, output),
  }),
];

/** Dead letters come first, the latest failure before the others, then waiting entries by their next attempt. */
async function showOutbox({ deps }: Operator, filter: Filter & { limit: string }, output: Output): Promise<void> {
  const { outboxEntries } = deps.store;
  const limit = parseLimit(filter.limit, { otherwise: LISTED, most: MAX_LISTED });
  const dead = includesDead(filter) ? await outboxEntries.dead(limit + 1) : [];
  const waiting = includesWaiting(filter)
    ? [...(await outboxEntries.waiting('mail', limit + 1)), ...(await outboxEntries.waiting('audit', limit + 1))]
    : [];
  const found = [...dead, ...waiting];
  output.rows(found.slice(0, limit).map(toRow), 'the outbox is empty');
  if (found.length > limit) output.note(`These are the first ${limit}; --limit shows more.`);
}

/** @param entry an ID, or `all` @throws OperatorError when the entry does not exist, or when a worker holds it */
async function retryOutbox({ deps }: Operator, entry: string, filter: Filter, output: Output): Promise<void> {
  const { outboxEntries } = deps.store;
  if (entry === 'all') {
    const dead = includesDead(filter) ? await outboxEntries.retryDead() : 0;
    const waiting = includesWaiting(filter)
      ? (await outboxEntries.retryWaiting('mail')) + (await outboxEntries.retryWaiting('audit'))
      : 0;
    output.record({ dead_letters_revived: dead, due_now: waiting });
    return;
  }
  const state = isUuid(entry) ? await outboxEntries.retry(entry) : null;
  if (state === null) throw new OperatorError(`${entry} is not in the outbox`);
  if (state === 'sending') throw new OperatorError(`a worker is sending ${entry} at this moment`);
  output.message(state === 'dead' ? `${entry} gets a new round of attempts` : `${entry} is due now`);
}

function includesDead({ dead, waiting }: Filter): boolean {
  return dead || !waiting;
}

function includesWaiting({ dead, waiting }: Filter): boolean {
  return waiting || !dead;
}

function toRow(entry: OutboxEntry) {
  const { template, type, email } = entry.payload as { template?: string; type?: string; email?: string };
  return {
    id: entry.id,
    topic: entry.topic,
    kind: template ?? type ?? null,
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
