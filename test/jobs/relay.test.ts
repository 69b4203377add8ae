import { v7 } from 'uuid';
import { expect, onTestFinished, test } from 'vitest';
import { freePort } from '../../src/dev/free-port.ts';
import { openQueues } from '../../src/jobs/queues.ts';
import { startRelay } from '../../src/jobs/relay.ts';
import { createOutbox } from '../../src/store/outbox.ts';
import { openDatabase } from '../../src/store/postgres/database.ts';
import { createTestDatabase } from '../support/databases.ts';

test('rows that Redis did not accept are due again at once', async () => {
  const { serviceUrl: url } = await createTestDatabase();
  const db = openDatabase({ url, poolSize: 2, statementTimeoutMs: 10_000 }, () => {});
  const queues = openQueues(`redis://127.0.0.1:${await freePort()}`, () => {});
  onTestFinished(async () => {
    await queues.close();
    await db.destroy();
  });
  const outbox = createOutbox(db, v7);
  const now = new Date();
  const origin = { address: '127.0.0.1', userAgent: '', requestId: '' };
  await outbox.write(now, [{ topic: 'audit', payload: { type: 'registered', origin } }]);

  const failed = Promise.withResolvers<void>();
  const relay = startRelay({ topic: 'audit', batch: 10, outbox, queues }, () => failed.resolve());
  await failed.promise;
  await relay.close();

  expect(await outbox.takeDue('audit', 60_000, 10)).toHaveLength(1);
});
