import { randomUUID } from 'node:crypto';
import type { Config } from '../../config.ts';
import type { KeyRing } from '../../domain/key-ring.ts';
import { foreignKeys, openPrivateKey } from '../../keys/key-encryption.ts';
import { derivePurposeKeys } from '../../keys/purpose-keys.ts';
import { type Db, openDatabase } from '../../store/database.ts';
import { diagnoseDatabase } from '../../store/diagnose-database.ts';
import { createServiceAccounts } from '../../store/service-accounts.ts';
import { createSigningKeyRows, type StoredSigningKey } from '../../store/signing-key-rows.ts';
import { KEY_EXPIRY_NOTICE_MS } from '../services.ts';
import { clockFinding, type Finding, failure, ok, TIMEOUT_MS } from './finding.ts';

export async function examinePostgres({ DATABASE_URL: url, masterKeys }: Config): Promise<Finding[]> {
  await using db = openDatabase({ url, poolSize: 1, statementTimeoutMs: TIMEOUT_MS }, () => {});
  try {
    const { version, now, schemaProblem, roleProblem, hasPartitions } = await diagnoseDatabase(db);
    const keys = schemaProblem === null ? await createSigningKeyRows(db, randomUUID).usable() : [];
    return [
      ok('postgres', `answers, version ${version}`),
      schemaProblem === null
        ? ok('schema', 'has every migration of this release, unchanged')
        : { check: 'schema', state: 'failed', what: schemaProblem, mend: 'run migrate; it says what else is needed' },
      roleProblem === null
        ? ok('database role', 'may do what the service may, and no more')
        : { check: 'database role', state: 'failed', what: roleProblem, mend: 'README.md, "Database roles"' },
      hasPartitions
        ? ok('audit partitions', 'are made ahead')
        : {
            check: 'audit partitions',
            state: 'warning' as const,
            what: 'next month has none yet',
            mend: 'a worker makes them: does one run?',
          },
      keysFinding(keys, masterKeys),
      ...(schemaProblem === null ? [await apiKeysFinding(db)] : []),
      clockFinding('clock against Postgres', Date.now() - now.getTime()),
    ];
  } catch (error) {
    return [failure('postgres', error, 'is it running, and is DATABASE_URL right?')];
  }
}

function keysFinding(keys: StoredSigningKey[], masterKeys: KeyRing): Finding {
  const check = 'signing keys';
  if (keys.length === 0) return ok(check, 'none yet: the service makes them when it starts');
  const encryptionKeys = derivePurposeKeys(masterKeys).signingKeyEncryption;
  const opened = keys.map(({ kid, encryptedPrivateKey }) => openPrivateKey(encryptedPrivateKey, kid, encryptionKeys));
  const foreign = keys.filter((_, n) => opened[n] === null).map(({ kid }) => kid);
  if (foreign.length > 0) {
    const mend = 'set MASTER_KEY to the one it was made with, or add that to MASTER_KEY_ACCEPTED';
    const mistake = 'if some process made it by mistake, stop that and run keys retire';
    return { check, state: 'failed', what: foreignKeys(foreign).message, mend: `${mend}; ${mistake}` };
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
