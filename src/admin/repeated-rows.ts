import type { UserToImport } from '../store/user-import.ts';
import type { InvalidRow } from './imported-user.ts';

type Row = { row: bigint; user: UserToImport };

/** Leaves out each row that has an id, an email, an identity or a credential of a row before it, and adds it to `bad`. */
export function removeRepetitions<R extends Row>(rows: R[], bad: InvalidRow[]): R[] {
  const rowOf = new Map<string, bigint>();
  return rows.filter(({ row, user }) => {
    const keys = keysOf(user);
    const repeated = keys.find(({ key }) => rowOf.has(key));
    if (repeated) {
      const description = `must differ from that of row ${rowOf.get(repeated.key)}`;
      bad.push({ row, field: repeated.field, description });
      return false;
    }
    for (const { key } of keys) rowOf.set(key, row);
    return true;
  });
}

function keysOf({ id, email, externalId, identities, factors }: UserToImport): { field: string; key: string }[] {
  return [
    { field: 'email', key: `email ${email}` },
    { field: 'user_id', key: `user_id ${id}` },
    ...(externalId === null ? [] : [{ field: 'external_id', key: `external_id ${externalId}` }]),
    ...identities.map(({ issuer, subject }) => ({ field: 'identities', key: JSON.stringify([issuer, subject]) })),
    ...factors.flatMap((factor) =>
      'credentialId' in factor ? { field: 'factors', key: `credential ${factor.credentialId.toString('hex')}` } : [],
    ),
  ];
}
