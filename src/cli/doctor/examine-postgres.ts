import { randomUUID } from 'node:crypto';
import type { Config } from '../../config/config.ts';
import type { KeyRing } from '../../domain/key-ring.ts';
import { decryptPrivateKey, otherMasterKeyError } from '../../keys/private-key-encryption.ts';
import { derivePurposeKeys } from '../../keys/purpose-keys.ts';
import { type Db, openDatabase } from '../../store/postgres/database.ts';
import { type DatabaseDiagnosis, diagnoseDatabase } from '../../store/postgres/diagnose-database.ts';
import { createServiceAccounts } from '../../store/service-accounts.ts';
import { createSigningKeyRows, type StoredSigningKey } from '../../store/signing-key-rows.ts';
import { KEY_EXPIRY_NOTICE_MS } from '../services.ts';
import { examineOperation } from './examine-operation.ts';
import { clockFinding, type Finding, failure, ok, TIMEOUT_MS } from './finding.ts';

export async function examinePostgres({ database: { url }, keys: { masterKeys } }: Config): Promise<Finding[]> {
  await using db = openDatabase({ url, poolSize: 1, statementTimeoutMs: TIMEOUT_MS }, () => {});
  try {
    const { now, schemaProblem, ...diagnosis } = await diagnoseDatabase(db);
    const clock = clockFinding('clock against Postgres', Date.now() - now.getTime());
    const database = [...databaseFindings({ now, schemaProblem, ...diagnosis }), clock];
    if (schemaProblem !== null) return database;
    const keys = await createSigningKeyRows(db, randomUUID).usable();
    return [...database, keysFinding(keys, masterKeys), await apiKeysFinding(db), ...(await examineOperation(db))];
  } catch (error) {
    const mend = 'does it run, is DATABASE_URL right, and does it lead to the primary?';
    return [failure('postgres', error, mend)];
  }
}

function databaseFindings(diagnosis: DatabaseDiagnosis): Finding[] {
  const { version, schemaProblem, roleProblem, writeProblem, hasPartitions } = diagnosis;
  return [
    ok('postgres', `the primary answers, version ${version}`),
    schemaProblem === null
      ? ok('schema', 'has every migration of this release, unchanged')
      : { check: 'schema', state: 'failed', what: schemaProblem, mend: 'run migrate; it reports further steps' },
    roleProblem === null
      ? ok('database role', 'has exactly the privileges of the service')
      : {
          check: 'database role',
          state: 'failed',
          what: roleProblem,
          mend: 'run migrate; docs/guides/production.md, "Database roles"',
        },
    writeProblem === null
      ? ok('database writes', 'a row was written and rolled back')
      : {
          check: 'database writes',
          state: 'failed',
          what: writeProblem,
          mend: 'docs/guides/production.md, "Postgres failovers"',
        },
    hasPartitions
      ? ok('audit partitions', 'exist for next month')
      : {
          check: 'audit partitions',
          state: 'warning',
          what: 'next month has none yet',
          mend: 'a worker creates them: does one run?',
        },
  ];
}

function keysFinding(keys: StoredSigningKey[], masterKeys: KeyRing): Finding {
  const check = 'signing keys';
  if (keys.length === 0) return ok(check, 'none yet: the service creates them when it starts');
  const encryptionKeys = derivePurposeKeys(masterKeys).signingKeyEncryption;
  const opened = keys.map(({ kid, encryptedPrivateKey }) =>
    decryptPrivateKey(encryptedPrivateKey, kid, encryptionKeys),
  );
  const foreign = keys.filter((_, n) => opened[n] === null).map(({ kid }) => kid);
  if (foreign.length > 0) {
    const mend = 'set MASTER_KEY to the one it was made with, or add that to MASTER_KEY_ACCEPTED';
    const mistake = 'if some process made it by mistake, stop that and run keys retire';
    return { check, state: 'failed', what: otherMasterKeyError(foreign).message, mend: `${mend}; ${mistake}` };
  }
  const old = opened.filter((key) => !key?.isCurrent).length;
  if (old > 0) {
    const what = `${old} of ${keys.length} are encrypted under a key of MASTER_KEY_ACCEPTED`;
    return { check, state: 'warning', what, mend: 'run keys reencrypt' };
  }
  if (!keys.some(({ state }) => state === 'published')) {
    return { check, state: 'warning', what: 'none is published to sign next', mend: 'a worker does it: does one run?' };
  }
  return ok(check, `${keys.length} open with MASTER_KEY`);
}

async function apiKeysFinding(db: Db): Promise<Finding> {
  const check = 'API keys';
  const now = () => new Date();
  const soon = new Date(now().getTime() + KEY_EXPIRY_NOTICE_MS);
  const keys = await createServiceAccounts(db, randomUUID, now).keysThatExpireBy(soon);
  const [first] = keys;
  if (!first) return ok(check, 'none expires within 30 days');
  const { service, name, expiresAt } = first;
  const what = `${keys.length} expire within 30 days, the first at ${expiresAt.toISOString()}: "${name}" of ${service}`;
  return {
    check,
    state: 'warning',
    what,
    mend: 'run services create-key, give the service the new key, and revoke the old one',
  };
}
