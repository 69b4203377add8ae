import { randomUUID } from 'node:crypto';
import type { KeyRing } from '../../domain/key-ring.ts';
import { decryptSecret } from '../../domain/secret-encryption.ts';
import type { Db } from '../../store/postgres/database.ts';
import { createTotpSecrets, type StoredTotpSecret } from '../../store/totp-secrets.ts';
import { createUserFactors } from '../../store/user-factors.ts';
import { type Finding, ok } from './finding.ts';

const PAGE = 1_000;
/** More would take more than a second. */
const MAX_EXAMINED = 100_000;

export async function examineFactors(db: Db, totpKeys: KeyRing): Promise<Finding[]> {
  return [await secretsFinding(db, totpKeys), await administratorsFinding(db)];
}

async function secretsFinding(db: Db, keys: KeyRing): Promise<Finding> {
  const check = 'TOTP secrets';
  const { examined, former, undecryptable } = await examineSecrets(db, keys);
  const [first] = undecryptable;
  if (first !== undefined) {
    const result = `${undecryptable.length} of ${examined} cannot be decrypted with this MASTER_KEY, the first of factor ${first}`;
    const remedy = 'set MASTER_KEY to the master key that encrypted them, or add that key to MASTER_KEY_ACCEPTED';
    return { check, state: 'failed', result, remedy };
  }
  if (former > 0) {
    const result = `${former} of ${examined} are encrypted under a key of MASTER_KEY_ACCEPTED`;
    return { check, state: 'warning', result, remedy: 'run "keys reencrypt"' };
  }
  return ok(check, examined === 0 ? 'none' : `MASTER_KEY decrypts ${examined}`);
}

async function examineSecrets(db: Db, keys: KeyRing) {
  const secrets = createTotpSecrets(db, randomUUID);
  const found = { examined: 0, former: 0, undecryptable: [] as string[] };
  let after: string | null = null;
  while (found.examined < MAX_EXAMINED) {
    const page: StoredTotpSecret[] = await secrets.page(after, PAGE);
    for (const { factorId, encrypted } of page) {
      const decrypted = decryptSecret(encrypted, factorId, keys);
      if (!decrypted) found.undecryptable.push(factorId);
      else if (!decrypted.isCurrent) found.former += 1;
    }
    found.examined += page.length;
    const last = page.at(-1);
    if (!last) break;
    after = last.factorId;
  }
  return found;
}

async function administratorsFinding(db: Db): Promise<Finding> {
  const check = 'factors of administrators';
  const emails = await createUserFactors(db, randomUUID).administratorsWithoutFactor(new Date());
  const [first] = emails;
  if (first === undefined) return ok(check, 'every administrator has the factor that is required');
  const result = `without the factor that the policy or the role admin requires: ${emails.length}, the first is ${first}`;
  const remedy = 'each of them must add a factor: after a sign-in, or in the next one when the policy requires it';
  return { check, state: 'warning', result, remedy };
}
