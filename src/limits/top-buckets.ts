import type { Redis } from 'ioredis';
import { type LimitBucket, parseBucket } from './limit-buckets.ts';
import { KEY_PREFIX, type Limit, type LimitName } from './limits.ts';

export type TopQuery = { servers: Redis[]; limits: Record<LimitName, Limit>; atMost: number; maxExamined: number };

type Candidate = LimitBucket & { share: number };

/** Keys of one step: Redis serves others in between. */
const STEP = 1_000;
/** A key that moves to another server of the cluster during the search. */
const MOVED = /^(?:MOVED|ASK|TRYAGAIN)\b/;

/** Walks over the keys in small steps. It writes nothing, so it adds no cost to counting. */
export async function topBuckets({ servers, limits, atMost, maxExamined }: TopQuery) {
  let top: Candidate[] = [];
  let examined = 0;
  for (const server of servers) {
    let cursor = '0';
    do {
      if (examined >= maxExamined) return { buckets: top, examined, isComplete: false };
      const [next, keys] = await server.scan(cursor, 'MATCH', `${KEY_PREFIX}:*`, 'COUNT', STEP);
      cursor = next;
      examined += keys.length;
      const found = keys.flatMap((key) => parseBucket(limits, key.slice(KEY_PREFIX.length + 1)) ?? []);
      // A cursor can return a key twice.
      const distinct = new Map(
        [...top, ...(await withShares(server, found))].map((one) => [`${one.limit}:${one.key}`, one]),
      );
      top = [...distinct.values()].sort((a, b) => b.share - a.share).slice(0, atMost);
    } while (cursor !== '0');
  }
  return { buckets: top, examined, isComplete: true };
}

async function withShares(server: Redis, buckets: LimitBucket[]): Promise<Candidate[]> {
  const counts = await Promise.all(
    buckets.map(({ limit, key }) => server.get(`${KEY_PREFIX}:${limit}:${key}`).catch(nullWhenMoved)),
  );
  return buckets
    .map((bucket, n) => ({ ...bucket, share: Number(counts[n]) / bucket.maximum }))
    .filter(({ share }) => share > 0);
}

function nullWhenMoved(error: Error): null {
  if (MOVED.test(error.message)) return null;
  throw error;
}
