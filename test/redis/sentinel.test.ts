// The primary of Sentinels is killed, they promote the replica, and the configuration stays the same.
import { expect, onTestFinished, test } from 'vitest';
import { startTestApp } from '../support/app.ts';
import { auth, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { registered } from '../support/people.ts';
import { startRedisPair, startSentinels } from '../support/redis-servers.ts';

const NAME = 'latchkey-primary';

test.each([
  ['is killed', 'kill'],
  ['vanishes and leaves its connections open', 'freeze'],
] as const)(
  'when the primary %s, limits count and mail goes out at the replica that Sentinel promotes',
  async (_, end) => {
    const [primary, replica] = await startRedisPair();
    const ports = await startSentinels(3, NAME, primary);
    const hosts = ports.map((port) => `127.0.0.1:${port}`).join();
    const app = await startTestApp({ REDIS_URL: `redis+sentinel://${hosts}/${NAME}` });
    onTestFinished(() => app.close());
    const call = viaFetch(app.url);
    const mailsTo = (email: string) => app.mailbox.mails.filter(({ to }) => to === email).length;
    const before = await registered(call);
    await call(auth.requestReset, { email: before.email });
    await eventually(() => mailsTo(before.email) === 1);
    expect((await primary.admin.keys('latchkey:limit:*')).length).toBeGreaterThan(0);

    await primary[end]();
    const during = await registered(call);
    expect((await call(auth.requestReset, { email: during.email })).code).toBe('ok');
    await eventually(async () => (await replica.admin.info('replication')).includes('role:master'), 30_000);
    await eventually(() => mailsTo(during.email) === 1, 20_000);
    await replica.admin.flushall();
    await eventually(async () => {
      await call(auth.login, { email: during.email, password: 'wrong one' });
      return (await replica.admin.keys('latchkey:limit:LOGIN_PAIR:*')).length > 0;
    }, 20_000);
  },
  120_000,
);
