// `limits` and `users unlock` where Redis is a cluster, or a primary that Sentinels name.
import { expect, onTestFinished, test } from 'vitest';
import { startTestApp } from '../support/app.ts';
import { auth, type Caller, viaFetch } from '../support/clients.ts';
import { registered } from '../support/people.ts';
import { runMain } from '../support/processes.ts';
import { startRedisCluster, startRedisPair, startSentinels } from '../support/redis-servers.ts';

const LIMITS = { LIMIT_LOGIN_ACCOUNT: '3/900', LIMIT_LOGIN_PAIR: '3/900' };

async function clusterUrl(): Promise<string> {
  const nodes = await startRedisCluster();
  return `redis+cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join()}`;
}

async function sentinelUrl(): Promise<string> {
  const [primary] = await startRedisPair();
  const ports = await startSentinels(1, 'main', primary);
  return `redis+sentinel://127.0.0.1:${ports[0]}/main`;
}

async function lockOut(call: Caller, email: string): Promise<void> {
  for (let n = 0; n < 4; n += 1) await call(auth.login, { email, password: `wrong ${n}` });
}

test.each([
  ['a cluster', clusterUrl],
  ['the primary of Sentinels', sentinelUrl],
])(
  'in %s a locked account is seen, found among the highest counts, and unlocked',
  async (_, urlOf) => {
    const app = await startTestApp({ ...LIMITS, REDIS_URL: await urlOf() });
    onTestFinished(() => app.close());
    const call = viaFetch(app.url);
    const person = await registered(call);
    const signIn = () => call(auth.login, { email: person.email, password: person.password });
    const latchkey = async (...args: string[]) => {
      const command = runMain([...args, '--json'], app.environment);
      expect(await command.ended, command.output()).toBe(0);
      return JSON.parse(command.output() || '[]');
    };
    type Count = { limit: string; reached: boolean };
    const reached = (counts: Count[]) => counts.filter((count) => count.reached).map(({ limit }) => limit);

    await lockOut(call, person.email);
    expect((await signIn()).reason).toBe('RATE_LIMITED');
    expect(reached(await latchkey('limits', 'show', '--account', person.email))).toContain('LOGIN_ACCOUNT');
    expect(reached(await latchkey('limits', 'top'))).toContain('LOGIN_ACCOUNT');
    await latchkey('limits', 'reset', '--account', person.email, '--reason', 'a test');
    expect((await signIn()).code).toBe('ok');

    await lockOut(call, person.email);
    await latchkey('users', 'unlock', person.email, '--reason', 'a test');
    expect((await signIn()).code).toBe('ok');
  },
  120_000,
);
