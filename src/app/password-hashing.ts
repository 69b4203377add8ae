import { followHashKinds } from '../passwords/follow-hash-kinds.ts';
import { createHashQueue } from '../passwords/hash-queue.ts';
import { createHasher, type Hasher } from '../passwords/hasher.ts';
import { startHashingProcess } from '../passwords/hashing-process.ts';
import { addTimeForLog } from '../process/log-context.ts';
import type { Base } from './base.ts';

export async function startPasswordHashing(
  { config, log, warnRarely, metrics, store }: Base,
  started: AsyncDisposableStack,
): Promise<Hasher> {
  const hashQueue = createHashQueue({
    ...config.passwords.hashQueue,
    onDone(waitedMs, durationMs) {
      metrics.hashed(waitedMs, durationMs);
      addTimeForLog('hash_wait_ms', waitedMs);
    },
  });
  metrics.watchHashQueue(hashQueue.tasks);
  const hashing = startHashingProcess(config.passwords.hashQueue.concurrency, (err) => log.error({ err }, 'hashing'));
  started.defer(() => hashing.close());
  const hasher = createHasher(config.passwords.argon2, hashQueue, hashing);
  const stopFollowing = await followHashKinds(hasher, {
    read: store.users.samplesOfHashKinds,
    onTooCostly: (kinds) =>
      log.warn(
        { hash_kinds: kinds.join(' ') },
        'failed sign-ins to accounts with these password hashes take longer than others',
      ),
    onError: warnRarely('the kinds of password hashes in use cannot be read'),
  });
  started.defer(stopFollowing);
  return hasher;
}
