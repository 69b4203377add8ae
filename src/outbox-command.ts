// `outbox`: the dead letters, for an operator.
import { v7 } from 'uuid';
import { isUuid } from './domain/uuid.ts';
import { openDatabase } from './store/database.ts';
import { createOutbox, type Outbox } from './store/outbox.ts';

export async function listDeadLetters(databaseUrl: string): Promise<void> {
  await withOutbox(databaseUrl, async (outbox) => {
    const letters = await outbox.deadLetters();
    console.log(letters.length === 0 ? 'no dead letters' : `${letters.length} dead letters, oldest first:`);
    for (const { id, topic, deadAt, attempts, lastError, payload } of letters) {
      console.log(`${id}  ${topic}  given up ${deadAt.toISOString()} after ${attempts} attempts`);
      console.log(`  what: ${JSON.stringify(payload)}\n  why:  ${lastError}`);
    }
  });
}

/** @param which an id, or `all` */
export async function retryDeadLetters(databaseUrl: string, which: string): Promise<void> {
  await withOutbox(databaseUrl, async (outbox) => {
    const ids = which === 'all' ? (await outbox.deadLetters()).map((letter) => letter.id) : [which];
    if (ids.length === 0) console.log('no dead letters');
    for (const id of ids) {
      const revived = isUuid(id) && (await outbox.revive(id));
      console.log(revived ? `${id} will be tried again` : `${id} is not a dead letter`);
      if (!revived) process.exitCode = 1;
    }
  });
}

async function withOutbox(url: string, use: (outbox: Outbox) => Promise<void>): Promise<void> {
  await using db = openDatabase({ url, poolSize: 1, statementTimeoutMs: 10_000 }, () => {});
  await use(createOutbox(db, v7));
}
