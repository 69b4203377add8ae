import type { Insertable, Selectable } from 'kysely';
import type { Factor } from '../domain/factor.ts';
import type { Db } from './postgres/database.ts';
import type { Schema } from './postgres/schema.ts';

type TotpSecret = {
  /** Encrypted. */
  secret: Buffer;
  /** The newest time step whose code was used. */
  step: number;
};

type PasskeyCredential = {
  credentialId: Buffer;
  /** COSE_Key. */
  publicKey: Buffer;
  signCount: number;
  userHandle: Buffer;
  transports: string[];
  backedUp: boolean;
  /** Null for an imported passkey. */
  isBackupEligible: boolean | null;
};

export type StoredTotp = Factor & { kind: 'totp' } & TotpSecret;
export type StoredPasskey = Factor & { kind: 'passkey' } & PasskeyCredential;
export type StoredFactor = StoredTotp | StoredPasskey;

export type NewFactor = { id: string; name: string } & (
  | ({ kind: 'totp' } & TotpSecret)
  | ({ kind: 'passkey' } & PasskeyCredential)
);

export async function factorsOf(db: Db, userId: string): Promise<StoredFactor[]> {
  return (await factorsOfUsers(db, [userId])).get(userId) ?? [];
}

/** The oldest first. */
export async function factorsOfUsers(db: Db, userIds: string[]): Promise<Map<string, StoredFactor[]>> {
  const rows = await db
    .selectFrom('factors')
    .selectAll()
    .where('user_id', 'in', userIds)
    .orderBy('created_at')
    .orderBy('id')
    .execute();
  const byUser = Map.groupBy(rows, ({ user_id }) => user_id);
  return new Map([...byUser].map(([userId, of]) => [userId, of.map(toFactor)]));
}

export function toFactor(row: Selectable<Schema['factors']>): StoredFactor {
  const { id, name, created_at: createdAt, last_used_at: lastUsedAt } = row;
  const common = { id, name, createdAt, lastUsedAt };
  if (row.kind === 'totp') {
    return { ...common, kind: 'totp', backedUp: false, secret: row.totp_secret as Buffer, step: Number(row.totp_step) };
  }
  return {
    ...common,
    kind: 'passkey',
    credentialId: row.credential_id as Buffer,
    publicKey: row.public_key as Buffer,
    signCount: Number(row.sign_count),
    userHandle: row.user_handle as Buffer,
    transports: row.transports ?? [],
    backedUp: row.backed_up ?? false,
    isBackupEligible: row.backup_eligible,
  };
}

export function toFactorRow(userId: string, factor: NewFactor, at: Date): Insertable<Schema['factors']> {
  const { id, kind, name } = factor;
  const common = { id, kind, name, user_id: userId, created_at: at };
  if (factor.kind === 'totp') return { ...common, totp_secret: factor.secret, totp_step: factor.step };
  return {
    ...common,
    credential_id: factor.credentialId,
    public_key: factor.publicKey,
    sign_count: factor.signCount,
    user_handle: factor.userHandle,
    transports: factor.transports,
    backed_up: factor.backedUp,
    backup_eligible: factor.isBackupEligible,
  };
}
