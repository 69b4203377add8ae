// A row of Supabase's table auth.users as CSV. The users can change raw_user_meta_data themselves, so no identity is
// taken from it: the columns `identities` and `factors` can hold those of the tables auth.identities and
// auth.mfa_factors.
import { type FormatReader, foreign, nameOf } from './format-reader.ts';
import { asObject } from './json-value.ts';
import { toTime } from './members.ts';

export const readSupabase: FormatReader = (row, { now, note }) => {
  if (row.deleted_at !== undefined) {
    note('deleted accounts');
    return null;
  }
  const profile = asObject(row.raw_user_meta_data) ?? {};
  return foreign({
    id: row.id,
    email: row.email,
    email_verified: row.email_confirmed_at !== undefined,
    full_name: nameOf(profile.full_name, profile.name),
    password_hash: row.encrypted_password,
    disabled: isBanned(row.banned_until, now),
    created_at: row.created_at,
    identities: row.identities,
    factors: row.factors,
  });
};

/** `infinity` is a time of Postgres. */
function isBanned(until: unknown, now: Date): boolean {
  if (until === undefined) return false;
  return until === 'infinity' || toTime(until) > now;
}
