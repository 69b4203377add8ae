import { type NewFactor, toFactorRow } from './factor-rows.ts';
import type { Db } from './postgres/database.ts';

type Owner = { id: string; createdAt: Date; factors: NewFactor[] };

/** The ids of the credentials that an account has, in hexadecimal. */
export async function takenCredentials(trx: Db, owners: Owner[]): Promise<Set<string>> {
  const given = owners.flatMap(({ factors }) =>
    factors.flatMap((one) => ('credentialId' in one ? one.credentialId : [])),
  );
  if (given.length === 0) return new Set();
  const taken = await trx.selectFrom('factors').select('credential_id').where('credential_id', 'in', given).execute();
  return new Set(taken.flatMap(({ credential_id }) => credential_id?.toString('hex') ?? []));
}

export function hasTakenCredential({ factors }: Owner, taken: ReadonlySet<string>): boolean {
  return factors.some((one) => 'credentialId' in one && taken.has(one.credentialId.toString('hex')));
}

/** They are as old as the account: no thief has added them in a session. */
export async function insertFactors(trx: Db, owners: Owner[]): Promise<void> {
  const rows = owners.flatMap(({ id, createdAt, factors }) =>
    factors.map((factor) => toFactorRow(id, factor, createdAt)),
  );
  if (rows.length > 0) await trx.insertInto('factors').values(rows).execute();
}
