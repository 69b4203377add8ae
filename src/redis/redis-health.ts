import { Cluster, type Redis } from 'ioredis';
import { hello } from './assert-redis.ts';
import type { RedisClient } from './connect-redis.ts';
import { DENIED } from './required-commands.ts';

/** One server, or one primary of a cluster. */
export type ServerState = {
  isPrimary: boolean;
  /** Null where the login may not run INFO. */
  memory: { usedBytes: number /** 0 for none. */; limitBytes: number; policy: string } | null;
};

const DOES_NOT_ANSWER = 'Redis does not answer: each process counts attempts for itself, and mail is late';

/** A sentence for each degraded function. It takes at most the command timeout of the connection. */
export async function redisProblems(redis: RedisClient): Promise<string[]> {
  if (redis.status !== 'ready') return [DOES_NOT_ANSWER];
  try {
    const states = await serverStates(redis);
    return states.length === 0 ? [DOES_NOT_ANSWER] : [...new Set(states.flatMap(problemsOf))];
  } catch {
    return [DOES_NOT_ANSWER];
  }
}

/** @throws when a server does not answer */
export function serverStates(redis: RedisClient): Promise<ServerState[]> {
  return Promise.all(serversOf(redis).map(stateOf));
}

/** The server, or each primary of a cluster. */
export function serversOf(redis: RedisClient): Redis[] {
  return redis instanceof Cluster ? redis.nodes('master') : [redis];
}

export function isFull({ memory }: ServerState): boolean {
  return memory !== null && memory.limitBytes > 0 && memory.usedBytes >= memory.limitBytes;
}

export function isDenied(error: unknown): boolean {
  return error instanceof Error && DENIED.test(error.message);
}

/** A section of INFO, by name; null where the login may not run it. @throws when Redis does not answer */
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
      // Buffers for replicas and the append only file do not count against the limit.
      usedBytes: number('used_memory') - number('mem_not_counted_for_evict'),
      limitBytes: number('maxmemory'),
      policy: info.get('maxmemory_policy') ?? '',
    },
  };
}

function problemsOf(state: ServerState): string[] {
  const problems: string[] = [];
  if (!state.isPrimary) problems.push('Redis is a replica: it counts no attempts and takes no mail');
  if (isFull(state)) problems.push('Redis is full (maxmemory): it counts no attempts and takes no mail');
  const policy = state.memory?.policy ?? 'noeviction';
  if (policy !== 'noeviction') problems.push(`Redis may evict counts and jobs: its maxmemory-policy is ${policy}`);
  return problems;
}
