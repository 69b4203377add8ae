// A replica is promoted, and the former primary becomes its replica and still responds: old connections must end.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { freePort } from '../../src/dev/free-port.ts';
import { startTestApp } from '../support/app.ts';
import { layCable } from '../support/cable.ts';
import { auth, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { registered } from '../support/people.ts';
import { startRedisPair, startRedisServer } from '../support/redis-servers.ts';

test('after a failover with a late change of the name, attempts are counted at the new primary and mail is sent', async () => {
  const [primary, replica] = await startRedisPair();
  const cable = await layCable(primary.port);
  onTestFinished(() => cable.close());
  const app = await startTestApp({ REDIS_URL: `redis://127.0.0.1:${cable.port}` });
  onTestFinished(() => app.close());
  const call = viaFetch(app.url);
  const mailsTo = (email: string) => app.mailbox.mails.filter(({ to }) => to === email).length;
  const before = await registered(call);
  await call(auth.requestReset, { email: before.email });
  await eventually(() => mailsTo(before.email) === 1);

  await replica.admin.replicaof('NO', 'ONE');
  await primary.admin.replicaof('127.0.0.1', replica.port);
  const during = await registered(call);
  expect((await call(auth.requestReset, { email: during.email })).code).toBe('ok');
  expect((await fetch(`${app.url}/readyz`)).status).toBe(200);
  await eventually(async () => JSON.stringify(await (await fetch(`${app.url}/readyz`)).json()).includes('replica'));
  cable.target = replica.port;

  await eventually(() => mailsTo(during.email) === 1, 15_000);
  const after = await registered(call);
  await call(auth.requestReset, { email: after.email });
  await eventually(() => mailsTo(after.email) === 1, 10_000);
  await replica.admin.flushall();
  await eventually(async () => {
    await call(auth.login, { email: after.email, password: 'wrong one' });
    return (await replica.admin.keys('latchkey:limit:LOGIN_PAIR:*')).length > 0;
  }, 15_000);
  await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0, 40_000);
  const { rows } = await app.owner.query("SELECT count(*)::int AS n FROM audit_events WHERE type = 'registered'");
  expect(rows[0].n).toBe(3);
}, 90_000);

test('the service waits for a server that is still loading its data', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-loading-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const settings = [`dir ${folder}`, 'enable-debug-command yes'];
  const first = await startRedisServer(settings);
  const cable = await layCable(first.port);
  onTestFinished(() => cable.close());
  const app = await startTestApp({ REDIS_URL: `redis://127.0.0.1:${cable.port}` });
  onTestFinished(() => app.close());
  const call = viaFetch(app.url);
  const person = await registered(call);
  await first.admin.call('debug', 'populate', '40000');
  await first.admin.save();
  await first.kill();

  const port = await freePort();
  // Each key takes 200 microseconds to load.
  const loading = [...settings, 'key-load-delay 200', 'loading-process-events-interval-bytes 1024'];
  const second = startRedisServer(loading, undefined, port);
  cable.target = port;
  await call(auth.requestReset, { email: person.email });
  await eventually(() => app.logs.some((line) => line.includes('LOADING')), 30_000);
  await second;
  await eventually(() => app.mailbox.mails.find(({ to }) => to === person.email), 30_000);
}, 120_000);
