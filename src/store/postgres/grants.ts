// Each member of latchkey_service has exactly these privileges. `migrate` grants them each time, because a restored
// dump can lack them, and a new cluster has no such role.
import { sql } from 'kysely';
import type { Db } from './database.ts';

export const SERVICE_ROLE = 'latchkey_service';

const TABLE_GRANTS: Record<string, string[]> = {
  schema_migrations: ['SELECT'],
  users: ['SELECT', 'INSERT', 'UPDATE'],
  roles: ['SELECT', 'INSERT', 'DELETE'],
  roles_epoch: ['SELECT'],
  role_implications: ['SELECT', 'INSERT', 'DELETE'],
  role_closure: ['SELECT'],
  user_roles: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
  sessions: ['SELECT', 'INSERT', 'UPDATE'],
  password_resets: ['SELECT', 'INSERT', 'UPDATE'],
  email_changes: ['SELECT', 'INSERT', 'UPDATE'],
  email_verifications: ['SELECT', 'INSERT', 'UPDATE'],
  network_confirmations: ['SELECT', 'INSERT', 'UPDATE'],
  identities: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
  oauth_flows: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
  factors: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
  recovery_codes: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
  challenges: ['SELECT', 'INSERT', 'UPDATE'],
  factor_policy: ['SELECT', 'UPDATE'],
  service_accounts: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
  service_account_roles: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
  api_keys: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
  signing_keys: ['SELECT', 'INSERT'],
  outbox: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
  processes: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
  write_probes: ['INSERT'],
  changes: ['SELECT'],
  audit_events: ['SELECT'],
  audit_chain: ['SELECT'],
};

const UPDATABLE_COLUMNS: Record<string, string[]> = {
  roles: ['description', 'granter', 'required_acr'],
  signing_keys: ['state', 'activated_at', 'retiring_at', 'retired_at', 'encrypted_private_key'],
};

/** Functions that run with the owner's privileges. */
const SERVICE_FUNCTIONS = [
  'delete_user',
  'ensure_audit_partitions',
  'erase_traces',
  'prune_changes',
  'record_audit_events',
  'remove_expired',
  'remove_retired_keys',
];

const OWNER_FUNCTIONS = ['append_audit_event', 'chain_audit_event', 'drop_audit_events'];

export async function applyGrants(db: Db): Promise<void> {
  const statements = [
    'REVOKE CREATE ON SCHEMA public FROM PUBLIC',
    `GRANT USAGE ON SCHEMA public TO ${SERVICE_ROLE}`,
    ...Object.entries(TABLE_GRANTS).map(
      ([table, privileges]) => `GRANT ${privileges.join(', ')} ON ${table} TO ${SERVICE_ROLE}`,
    ),
    ...Object.entries(UPDATABLE_COLUMNS).map(
      ([table, columns]) => `GRANT UPDATE (${columns.join(', ')}) ON ${table} TO ${SERVICE_ROLE}`,
    ),
    `REVOKE ALL ON FUNCTION ${[...SERVICE_FUNCTIONS, ...OWNER_FUNCTIONS].join(', ')} FROM PUBLIC`,
    `GRANT EXECUTE ON FUNCTION ${SERVICE_FUNCTIONS.join(', ')} TO ${SERVICE_ROLE}`,
  ];
  await sql.raw(statements.join(';\n')).execute(db);
}

/** Such as "SELECT on users". The login may lack the membership, or a restored schema its privileges. */
export async function missingGrants(db: Db): Promise<string[]> {
  const wanted = [
    ...pairs(TABLE_GRANTS).map(([name, privilege]) => ({ kind: 'table', name, privilege, part: '' })),
    ...pairs(UPDATABLE_COLUMNS).map(([name, part]) => ({ kind: 'column', name, privilege: 'UPDATE', part })),
    ...SERVICE_FUNCTIONS.map((name) => ({ kind: 'function', name, privilege: 'EXECUTE', part: '' })),
  ];
  const { rows } = await sql<{ missing: string }>`
    SELECT privilege || ' on ' || name || CASE WHEN part = '' THEN '' ELSE '.' || part END AS missing
    FROM jsonb_to_recordset(${JSON.stringify(wanted)}::jsonb) AS wanted (kind text, name text, privilege text, part text)
    WHERE NOT coalesce(CASE kind
      WHEN 'table' THEN has_table_privilege(to_regclass(name), privilege)
      WHEN 'column' THEN has_column_privilege(to_regclass(name), part, privilege)
      ELSE has_function_privilege(to_regproc(name), privilege) END, false)
    ORDER BY 1
  `.execute(db);
  return rows.map((row) => row.missing);
}

function pairs(lists: Record<string, string[]>): [string, string][] {
  return Object.entries(lists).flatMap(([name, items]) => items.map((item): [string, string] => [name, item]));
}
