// `outbox`: mails and events that were given up.
import { isUuid } from '../domain/uuid.ts';
import { OperatorError } from '../operator-error.ts';
import type { Operator } from './operator.ts';
import type { Output } from './output.ts';

export async function showDeadLetters({ deps }: Operator, output: Output): Promise<void> {
  const letters = await deps.store.outbox.deadLetters();
  output.rows(
    letters.map(({ id, topic, createdAt, deadAt, attempts, lastError, payload }) => ({
      id,
      topic,
      created_at: createdAt,
      given_up_at: deadAt,
      attempts,
      why: lastError,
      what: JSON.stringify(payload),
    })),
    'no dead letters',
  );
}

/** @param which an id, or `all` @throws OperatorError when one of them is no dead letter */
export async function retryDeadLetters({ deps }: Operator, which: string, output: Output): Promise<void> {
  const { outbox } = deps.store;
  const ids = which === 'all' ? (await outbox.deadLetters()).map((letter) => letter.id) : [which];
  if (ids.length === 0) output.say('no dead letters');
  for (const id of ids) {
    if (!isUuid(id) || !(await outbox.revive(id))) throw new OperatorError(`${id} is not a dead letter`);
    output.say(`${id} will be tried again`);
  }
}
