// The commands that a Refresh sends to Redis, as Redis itself reports them.
import { Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import { startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config/config.ts';
import { KEY_PREFIX } from '../../src/limits/limits.ts';
import { createLogger } from '../../src/process/log.ts';
import { testApp } from '../support/app.ts';
import { auth, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { signedIn } from '../support/people.ts';

const app = await testApp({}, { api: true, worker: false });

const redisUrl = app.environment.REDIS_URL ?? '';
const BOTH = ['REFRESH_SESSION', 'REFRESH_USER'];

/** The names of the limits that each command counts. */
async function limitCommandsDuring(work: () => Promise<void>): Promise<string[][]> {
  const redis = new Redis(redisUrl);
  const monitor = await redis.monitor();
  onTestFinished(() => {
    monitor.disconnect();
    redis.disconnect();
  });
  const database = new URL(redisUrl).pathname.slice(1);
  const commands: string[][] = [];
  let isOver = false;
  // The commands that a script runs come from `lua`. Only what arrives over a connection is a round trip.
  monitor.on('monitor', (_time: string, args: string[], source: string, from: string) => {
    if (from !== database || source === 'lua') return;
    if (args[1] === 'the end') isOver = true;
    const keys = args.filter((one) => one.startsWith(`${KEY_PREFIX}:`));
    if (keys.length > 0) commands.push(keys.map((key) => key.split(':')[2] as string).toSorted());
  });
  await work();
  await redis.echo('the end');
  await eventually(() => isOver);
  return commands;
}

async function refreshTwice({ url }: { url: string }, token: string): Promise<void> {
  const call = viaFetch(url);
  let refreshToken = token;
  for (let n = 0; n < 2; n += 1) {
    const { code, body } = await call(auth.refresh, { refreshToken });
    expect(code).toBe('ok');
    refreshToken = body.tokens.refreshToken;
  }
}

test('both limits of a Refresh are counted in one round trip', async () => {
  const { refreshToken } = await signedIn(app.call);
  expect(await limitCommandsDuring(() => refreshTwice(app, refreshToken))).toEqual([BOTH, BOTH]);
});

test('a process that has not seen the session counts the user after the first rotation', async () => {
  const { refreshToken } = await signedIn(app.call);
  const config = readConfig(app.environment);
  const other = await startApp(config, { api: true, worker: false }, createLogger('info', { write: () => {} }));
  onTestFinished(() => other.close());
  const url = `http://127.0.0.1:${other.port}`;
  const commands = await limitCommandsDuring(() => refreshTwice({ url }, refreshToken));
  expect(commands).toEqual([['REFRESH_SESSION'], ['REFRESH_USER'], BOTH]);
});
