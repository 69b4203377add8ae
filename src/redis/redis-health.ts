import { Cluster, type Redis } from 'ioredis';
import { inTime } from '../async/in-time.ts';
import { hello } from './assert-redis.ts';
import type { RedisClient } from './connect-redis.ts';
import { DENIED } from './required-commands.ts';

export type ServerState = {
  isPrimary: boolean;
  /** Null where the login may not run INFO. A limit of 0 means none. */
  memory: { usedBytes: number; limitBytes: number; policy: string } | null;
};

const DOES_NOT_ANSWER = 'Redis does not answer: each process counts attempts by itself, and e-mails are late';

/** Returns a sentence for each problem. */
export async function redisProblems(redis: RedisClient, timeoutMs: number): Promise<string[]> {
  if (redis.status !== 'ready') return [DOES_NOT_ANSWER];
  try {
    const states = await inTime(timeoutMs, () => serverStates(redis));
    return states.length === 0 ? [DOES_NOT_ANSWER] : [...new Set(states.flatMap(problemsOf))];
  } catch {
    return [DOES_NOT_ANSWER];
  }
}

export function serverStates(redis: RedisClient): Promise<ServerState[]> {
  return Promise.all(serversOf(redis).map(stateOf));
}

export function serversOf(redis: RedisClient): Redis[] {
  return redis instanceof Cluster ? redis.nodes('master') : [redis];
}

export function isFull({ memory }: ServerState): boolean {
  return memory !== null && memory.limitBytes > 0 && memory.usedBytes >= memory.limitBytes;
}

export function isDenied(error: unknown): boolean {
  return error instanceof Error && DENIED.test(error.message);
}

/** Returns null where the login may not run INFO. @throws when Redis does not answer */
export async function infoOf(redis: Redis, section: string): Promise<Map<string, string> | null> {
  const text = await redis.info(section).catch((error: unknown) => {
    if (isDenied(error)) return null;
    throw error;
  });
  if (text === null) return null;
  return new Map(text.split('\r\n').map((line) => line.split(':', 2) as [string, string]));
}

async function stateOf(redis: Redis): Promise<ServerState> {
  const [greeting, info] = await Promise.all([hello(redis), infoOf(redis, 'memory')]);
  const number = (name: string) => Number(info?.get(name) ?? 0);
  return {
    isPrimary: greeting.get('role') === 'master',
    memory: info && {
      // Buffers of replicas and of the append only file do not count against the limit.
      usedBytes: number('used_memory') - number('mem_not_counted_for_evict'),
      limitBytes: number('maxmemory'),
      policy: info.get('maxmemory_policy') ?? '',
    },
  };
}

function problemsOf(state: ServerState): string[] {
  const problems: string[] = [];
  if (!state.isPrimary) problems.push('Redis is a replica: it counts no attempts and accepts no e-mails');
  if (isFull(state)) problems.push('Redis is full (maxmemory): it counts no attempts and accepts no e-mails');
  const policy = state.memory?.policy ?? 'noeviction';
  if (policy !== 'noeviction') problems.push(`Redis can remove counts and jobs: its maxmemory-policy is ${policy}`);
  return problems;
}
