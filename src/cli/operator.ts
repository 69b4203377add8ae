// Runs use cases of administrators for an operator, whose authority is the login of the database.
import { randomUUID } from 'node:crypto';
import { v7 } from 'uuid';
import { type Environment, readDatabaseConfig, readLimitAccess, readMasterKeys } from '../config/config.ts';
import type { Deps } from '../deps.ts';
import type { Actor } from '../domain/actor.ts';
import type { Call } from '../domain/call.ts';
import type { KeyRotation } from '../keys/key-rotation.ts';
import { derivePurposeKeys, type PurposeKeys } from '../keys/purpose-keys.ts';
import { openDatabase } from '../store/postgres/database.ts';
import { createDatabaseClock } from '../store/postgres/database-clock.ts';
import { createPrimaryGuard } from '../store/postgres/primary-guard.ts';
import { createStore } from '../store/store.ts';
import type { LimitDesk } from './limit-desk.ts';

export type Operator = {
  deps: Pick<Deps, 'store' | 'revocationFeed' | 'apiKeyMaxDays' | 'reauthenticationSeconds' | 'now' | 'newId'>;
  /** Requires MASTER_KEY. @throws ConfigError */
  keyRotation(): Promise<KeyRotation>;
  /** Requires the MASTER_KEY of the service. @throws ConfigError or OperatorError */
  purposeKeys(): Promise<PurposeKeys>;
  /** Requires REDIS_URL and MASTER_KEY. @throws ConfigError or OperatorError */
  limits(): Promise<LimitDesk>;
  environment: Environment;
  actor: Actor;
  call: Call;
};

const STATEMENT_TIMEOUT_MS = 10_000;

type OperatorSettings = { url: string; environment: Environment; actor: () => Actor };

export async function asOperator<T>(
  { url, environment, actor }: OperatorSettings,
  work: (operator: Operator) => Promise<T>,
): Promise<T> {
  const clock = createDatabaseClock();
  const guard = createPrimaryGuard({ onClock: clock.observe });
  const options = { url, poolSize: 1, statementTimeoutMs: STATEMENT_TIMEOUT_MS, guard };
  await using db = openDatabase(options, () => {});
  // Reads the clock of Postgres, and fails before the work begins when Postgres does not answer.
  await db.connection().execute(async () => {});
  const { now } = clock;
  const newId = () => v7();
  const store = createStore(db, newId, now);
  const { apiKeyMaxDays } = readDatabaseConfig(environment);
  await using closing = new AsyncDisposableStack();
  let opened: Promise<LimitDesk> | undefined;
  const openLimits = async () => {
    const { openLimitDesk } = await import('./limit-desk.ts');
    return openLimitDesk(readLimitAccess(environment), now);
  };
  const origin = { address: '', userAgent: 'latchkey', requestId: randomUUID() };
  return await work({
    // Commands do not wait for verifiers, which follow within a second. Operators have no session to re-authenticate.
    deps: { store, revocationFeed: { catchUp: async () => {} }, apiKeyMaxDays, reauthenticationSeconds: 0, now, newId },
    async keyRotation() {
      const { createKeyRotation } = await import('../keys/key-rotation.ts');
      const encryptionKeys = derivePurposeKeys(readMasterKeys(environment)).signingKeyEncryption;
      return createKeyRotation({ store: store.signingKeys, encryptionKeys, now });
    },
    async purposeKeys() {
      const { assertRightMasterKey } = await import('../keys/assert-right-master-key.ts');
      const purposeKeys = derivePurposeKeys(readMasterKeys(environment));
      assertRightMasterKey(await store.signingKeys.usable(), purposeKeys.signingKeyEncryption);
      return purposeKeys;
    },
    limits: () => (opened ??= openLimits().then((desk) => closing.use(desk))),
    environment,
    get actor() {
      return actor();
    },
    call: { origin, signal: new AbortController().signal },
  });
}
