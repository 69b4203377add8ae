// Rows of second factors, for tests that do not sign in with them.
import { randomBytes, randomUUID } from 'node:crypto';
import type pg from 'pg';

/** @returns the id of a passkey that no authenticator has */
export async function storedPasskey(owner: pg.Pool, userId: string): Promise<string> {
  const id = randomUUID();
  await owner.query(
    `INSERT INTO factors (id, user_id, kind, name, created_at, credential_id, public_key, sign_count, user_handle, transports, backed_up)
      VALUES ($1, $2, 'passkey', 'a key', now(), $3, '\\x00', 0, '\\x00', '{usb}', true)`,
    [id, userId, randomBytes(16)],
  );
  return id;
}

/** @returns the id of an authenticator app whose secret nothing can decrypt */
export async function storedTotp(owner: Pick<pg.Pool, 'query'>, userId: string): Promise<string> {
  const id = randomUUID();
  await owner.query(
    "INSERT INTO factors (id, user_id, kind, name, created_at, totp_secret, totp_step) VALUES ($1, $2, 'totp', 'an app', now(), $3, 0)",
    [id, userId, randomBytes(48)],
  );
  return id;
}

export async function storedRecoveryCodes(owner: pg.Pool, userId: string, count: number): Promise<void> {
  await owner.query(
    "INSERT INTO recovery_codes SELECT $1, decode(lpad(n::text, 64, '0'), 'hex') FROM generate_series(1, $2::int) AS n",
    [userId, count],
  );
}
