import { randomUUID } from 'node:crypto';
import type { Config } from '../../config/config.ts';
import type { KeyRing } from '../../domain/key-ring.ts';
import { decryptSecret } from '../../domain/secret-encryption.ts';
import { otherMasterKeyError } from '../../keys/other-master-key-error.ts';
import { derivePurposeKeys } from '../../keys/purpose-keys.ts';
import { type Db, openDatabase } from '../../store/postgres/database.ts';
import { type DatabaseDiagnosis, diagnoseDatabase } from '../../store/postgres/diagnose-database.ts';
import { createServiceAccounts } from '../../store/service-accounts.ts';
import { createSigningKeyRows, type StoredSigningKey } from '../../store/signing-key-rows.ts';
import { KEY_EXPIRY_NOTICE_MS } from '../services.ts';
import { examineFactors } from './examine-factors.ts';
import { examineListener } from './examine-listener.ts';
import { examineOperation } from './examine-operation.ts';
import { clockFinding, type Finding, failure, ok, TIMEOUT_MS } from './finding.ts';

export async function examinePostgres({ database, keys: { masterKeys } }: Config): Promise<Finding[]> {
  const { url, listenUrl } = database;
  await using db = openDatabase({ url, poolSize: 1, statementTimeoutMs: TIMEOUT_MS }, () => {});
  try {
    const { now, schemaProblem, ...diagnosis } = await diagnoseDatabase(db);
    const clock = clockFinding('clock against Postgres', Date.now() - now.getTime());
    const found = [...databaseFindings({ now, schemaProblem, ...diagnosis }), clock];
    if (schemaProblem !== null) return found;
    const keys = await createSigningKeyRows(db, randomUUID).usable();
    return [
      ...found,
      await examineListener(db, listenUrl),
      keysFinding(keys, masterKeys),
      await apiKeysFinding(db),
      ...(await examineFactors(db, derivePurposeKeys(masterKeys).totpSecrets)),
      ...(await examineOperation(db)),
    ];
  } catch (error) {
    const remedy = 'start Postgres, or correct DATABASE_URL, which must lead to the primary';
    return [failure('postgres', error, remedy)];
  }
}

function databaseFindings(diagnosis: DatabaseDiagnosis): Finding[] {
  const { version, schemaProblem, roleProblem, writeProblem, hasPartitions } = diagnosis;
  return [
    ok('postgres', `the primary answers, version ${version}`),
    schemaProblem === null
      ? ok('schema', 'has every migration of this release, unchanged')
      : { check: 'schema', state: 'failed', result: schemaProblem, remedy: 'run "migrate", which names further steps' },
    roleProblem === null
      ? ok('database role', 'has exactly the privileges of the service')
      : {
          check: 'database role',
          state: 'failed',
          result: roleProblem,
          remedy: 'run "migrate"; see "Database roles" in docs/guides/production.md',
        },
    writeProblem === null
      ? ok('database writes', 'a row was written and rolled back')
      : {
          check: 'database writes',
          state: 'failed',
          result: writeProblem,
          remedy: 'see "Postgres failovers" in docs/guides/production.md',
        },
    hasPartitions
      ? ok('audit partitions', 'exist for next month')
      : {
          check: 'audit partitions',
          state: 'warning',
          result: 'missing for next month',
          remedy: 'start a worker, which creates them',
        },
  ];
}

function keysFinding(keys: StoredSigningKey[], masterKeys: KeyRing): Finding {
  const check = 'signing keys';
  if (keys.length === 0) return ok(check, 'none yet: the service creates them when it starts');
  const encryptionKeys = derivePurposeKeys(masterKeys).signingKeyEncryption;
  const decrypted = keys.map(({ kid, encryptedPrivateKey }) => decryptSecret(encryptedPrivateKey, kid, encryptionKeys));
  const undecryptable = keys.filter((_, n) => decrypted[n] === null).map(({ kid }) => kid);
  if (undecryptable.length > 0) {
    const remedy = 'set MASTER_KEY to the master key that encrypted it, or add that key to MASTER_KEY_ACCEPTED';
    const mistake = 'if a process created the signing key by mistake, stop that process and run "keys retire"';
    const result = otherMasterKeyError(undecryptable).message;
    return { check, state: 'failed', result, remedy: `${remedy}; ${mistake}` };
  }
  const old = decrypted.filter((key) => !key?.isCurrent).length;
  if (old > 0) {
    const result = `${old} of ${keys.length} are encrypted under a key of MASTER_KEY_ACCEPTED`;
    return { check, state: 'warning', result, remedy: 'run "keys reencrypt"' };
  }
  if (!keys.some(({ state }) => state === 'published')) {
    const remedy = 'start a worker, which publishes one';
    return { check, state: 'warning', result: 'no key is published to sign next', remedy };
  }
  return ok(check, `MASTER_KEY decrypts all ${keys.length}`);
}

async function apiKeysFinding(db: Db): Promise<Finding> {
  const check = 'API keys';
  const now = () => new Date();
  const soon = new Date(now().getTime() + KEY_EXPIRY_NOTICE_MS);
  const keys = await createServiceAccounts(db, randomUUID, now).keysThatExpireBy(soon);
  const [first] = keys;
  if (!first) return ok(check, 'none expires within 30 days');
  const { service, name, expiresAt } = first;
  const result = `${keys.length} expire within 30 days, the first at ${expiresAt.toISOString()}: "${name}" of ${service}`;
  return {
    check,
    state: 'warning',
    result,
    remedy: 'run "services create-key", give the service the new key, and revoke the old one',
  };
}
