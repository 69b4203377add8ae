// Connections that a firewall drops: they stay open and carry nothing.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { type Parts, startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config/config.ts';
import { createLogger } from '../../src/process/log.ts';
import { startTestApp } from '../support/app.ts';
import { layCable, through } from '../support/cable.ts';
import { auth, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { type Person, registered } from '../support/people.ts';
import { runMain } from '../support/processes.ts';
import { startRedisServer } from '../support/redis-servers.ts';

async function startBehindCable(parts: Parts = { api: true, worker: true }) {
  const server = await startRedisServer();
  const cable = await layCable(server.port);
  onTestFinished(() => cable.close());
  const app = await startTestApp({ REDIS_URL: through(server.url, cable.port) }, parts);
  onTestFinished(() => app.close());
  return { server, cable, app, call: viaFetch(app.url) };
}

test('mails and audit events are delivered within 20 seconds after every connection was swallowed', async () => {
  const { cable, app, call } = await startBehindCable();
  const people: (Person & { userId: string })[] = [];
  const produce = async () => {
    const person = await registered(call);
    await call(auth.requestReset, { email: person.email });
    people.push(person);
  };
  for (let round = 0; round < 3; round += 1) {
    for (let n = 0; n < 10; n += 1) await produce();
    cable.swallowAll();
    const swallowedAt = performance.now();
    for (let n = 0; n < 10; n += 1) await produce();
    await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0, 60_000);
    expect(performance.now() - swallowedAt).toBeLessThan(20_000);
  }
  const mails = app.mailbox.mails.filter(({ subject }) => subject === 'Set a new password');
  expect(new Set(mails.map(({ to }) => to))).toEqual(new Set(people.map(({ email }) => email)));
  const { rows } = await app.owner.query("SELECT user_id FROM audit_events WHERE type = 'registered' ORDER BY user_id");
  expect(rows.map((row) => row.user_id)).toEqual(people.map(({ userId }) => userId).toSorted());
}, 180_000);

test('attempts are counted in Redis again within 20 seconds after every connection was swallowed', async () => {
  const { server, cable, call } = await startBehindCable();
  const person = await registered(call);
  cable.swallowAll();
  const swallowedAt = performance.now();
  await eventually(async () => {
    await call(auth.login, { email: person.email, password: 'wrong one' });
    return (await server.admin.keys('latchkey:limit:LOGIN_PAIR:*')).length > 0;
  }, 60_000);
  expect(performance.now() - swallowedAt).toBeLessThan(20_000);
}, 90_000);

test('idle connections are kept', async () => {
  const { server, app, call } = await startBehindCable();
  await registered(call);
  await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0);
  const received = async () => /total_connections_received:(\d+)/.exec(await server.admin.info('stats'))?.[1];
  const before = await received();
  await sleep(20_000);
  expect(await received()).toBe(before);
}, 60_000);

test('a mail of a worker that vanished is sent by another one when its claim has expired', async () => {
  const { server, app, call } = await startBehindCable({ api: true, worker: false });
  const smtp = await layCable(Number(new URL(app.environment.SMTP_URL as string).port));
  onTestFinished(() => smtp.close());
  smtp.mode = 'silent';
  const SMTP_URL = through(app.environment.SMTP_URL as string, smtp.port);
  const vanishing = runMain(['worker'], { ...app.environment, SMTP_URL });
  const person = await registered(call);
  await call(auth.requestReset, { email: person.email });
  await eventually(async () => (await server.admin.llen('{latchkey}:queue:mail:active')) === 1, 60_000);
  vanishing.child.kill('SIGKILL');
  await vanishing.ended;
  const killedAt = performance.now();
  const next = await startApp(readConfig(app.environment), { api: false, worker: true }, createLogger('silent'));
  onTestFinished(() => next.close());
  await eventually(() => app.mailbox.mails.find(({ to }) => to === person.email), 60_000);
  expect(performance.now() - killedAt).toBeLessThan(50_000);
}, 120_000);
