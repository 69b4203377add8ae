// Fills a migrated database with many accounts, one statement a table. The number of holders of some roles grows with
// the accounts, and that of others stays the same.
import pg from 'pg';

export const SESSIONS_EACH = 3;

export type ManyAccounts = { users: number; sessionsEach: number; passwordHash: string };

/** Triggers and foreign keys are off, and each secondary index is built after its table. */
export async function fillWithAccounts(ownerUrl: string, accounts: ManyAccounts): Promise<void> {
  const client = new pg.Client({ connectionString: ownerUrl });
  await client.connect();
  try {
    await client.query("SET session_replication_role = replica; SET maintenance_work_mem = '512MB'; SET jit = off");
    await client.query(ROLES);
    await client.query(numbersUpTo(accounts.users));
    for (const { table, insert } of TABLES) await fillTable(client, table, () => client.query(insert(accounts)));
    await client.query('DROP TABLE numbers');
    await client.query('SET session_replication_role = origin');
    await client.query('UPDATE audit_chain SET seq = (SELECT max(seq) FROM audit_events), recorded_at = now()');
    await client.query('VACUUM (ANALYZE)');
  } finally {
    await client.end();
  }
}

/** Ids in the order of the numbers. */
function numbersUpTo(users: number): string {
  return `CREATE TABLE numbers AS
    SELECT n, uuidv7((n - ${users}) * interval '1 second') AS id FROM generate_series(1, ${users}) AS n`;
}

/** `beta` implies `reader`. Nearly every grant of `trial` has expired. */
const ROLES = `
  INSERT INTO roles (name, description) VALUES ('beta', ''), ('reader', ''), ('pilot', ''), ('trial', '');
  INSERT INTO role_implications VALUES ('beta', 'reader');
  INSERT INTO role_closure TABLE role_walk ON CONFLICT DO NOTHING`;

/** The email of the n-th user. One user of 16 has an email that begins with `a`, one of 256 with `ab`. */
const EMAIL = `substr(md5(n::text), 1, 8) || n || '@people.example'`;
const EXPIRES = `CASE WHEN n % 50 = 0 THEN now() - interval '10 days' ELSE now() + interval '20 days' END`;

const TABLES: { table: string; insert: (accounts: ManyAccounts) => string }[] = [
  {
    table: 'users',
    insert: ({ passwordHash }) => `
      INSERT INTO users (id, email, full_name, password_hash, created_at, disabled_at, external_id, email_verified_at)
      SELECT id, ${EMAIL}, 'Grace Hopper', '${passwordHash}', now(), CASE WHEN n % 100 = 7 THEN now() END, 'crm-' || n, now()
      FROM numbers`,
  },
  {
    table: 'user_roles',
    insert: ({ users }) => `
      INSERT INTO user_roles (user_id, role, granted_at, expires_at)
      SELECT id, role, now(), expires_at FROM numbers CROSS JOIN LATERAL (
        SELECT 'user' AS role, NULL::timestamptz AS expires_at
        UNION ALL SELECT 'beta', NULL WHERE n % 10 = 1
        UNION ALL SELECT 'pilot', NULL WHERE n % (${users} / 50) = 1
        UNION ALL SELECT 'reader', NULL WHERE n % (${users} / 50) = 2
        UNION ALL SELECT 'admin', NULL WHERE n % (${users} / 5) = 3
        UNION ALL SELECT 'trial', now() + CASE WHEN n % (${users} / 50) = 4 THEN interval '30 days' ELSE '-1 day' END
          WHERE n % 10 = 4
      ) AS granted`,
  },
  {
    table: 'sessions',
    insert: ({ sessionsEach }) => `
      INSERT INTO sessions (id, user_id, created_at, expires_at, ends_by, ended_at, address, user_agent)
      SELECT uuidv7(), id, now() - interval '12 days', ${EXPIRES}, now() + interval '90 days',
        CASE WHEN k = 3 AND n % 5 = 0 THEN now() - interval '1 day' END, '192.0.2.7', 'Mozilla/5.0'
      FROM generate_series(1, ${sessionsEach}) AS k, numbers`,
  },
  {
    table: 'identities',
    insert: () => `
      INSERT INTO identities (id, user_id, provider, issuer, subject, created_at, last_used_at)
      SELECT uuidv7(), id, 'google', 'https://accounts.google.com', n, now(), now() FROM numbers WHERE n % 10 = 5`,
  },
  {
    table: 'password_resets',
    insert: () => `
      INSERT INTO password_resets (id, user_id, password_epoch, created_at, expires_at)
      SELECT uuidv7(), id, 1, now(), ${EXPIRES} FROM numbers WHERE n % 10 = 0`,
  },
  {
    table: 'email_changes',
    insert: () => `
      INSERT INTO email_changes (id, user_id, old_email, asked_at, changed_at)
      SELECT uuidv7(), id, 'old' || n || '@people.example', now(), now() FROM numbers WHERE n % 50 = 1`,
  },
  {
    table: 'email_verifications',
    insert: () => `
      INSERT INTO email_verifications (id, user_id, email, account_email, password_epoch, created_at, expires_at)
      SELECT uuidv7(), id, ${EMAIL}, ${EMAIL}, 1, now(), ${EXPIRES} FROM numbers WHERE n % 10 = 1`,
  },
  { table: 'audit_events', insert: auditEvents },
];

/** An event for every second account, over the last 25 days. 50 events were recorded an hour late. */
function auditEvents({ users }: ManyAccounts): string {
  return `
    INSERT INTO audit_events (seq, recorded_at, id, occurred_at, type, user_id, actor, target, request_id, address,
      user_agent, origin_digest, previous_hash, hash)
    SELECT n / 2, at, id, at - CASE WHEN n % (${users} / 50) = 0 THEN interval '1 hour' ELSE '1 second' END,
      CASE WHEN n % (${users} / 50) < 2 THEN 'role_defined' WHEN n % 20 = 0 THEN 'role_granted' ELSE 'login_succeeded' END,
      id, CASE WHEN n % 20 = 0 THEN 'user:' || id END, CASE WHEN n % 20 = 0 THEN 'user:' || id END, n, '192.0.2.7',
      'Mozilla/5.0', '\\x00', '\\x00', '\\x00'
    FROM (SELECT n, id, now() - interval '25 days' * (1 - n::float8 / ${users}) AS at FROM numbers WHERE n % 2 = 0) AS one`;
}

async function fillTable(client: pg.Client, table: string, insert: () => Promise<unknown>): Promise<void> {
  const { rows } = await client.query<{ drop: string; create: string }>(
    `SELECT 'DROP INDEX ' || indexrelid::regclass AS drop, replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ') AS create FROM pg_index
     WHERE indrelid = $1::regclass AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
     UNION ALL SELECT format('ALTER TABLE %I DROP CONSTRAINT %I', $1, conname),
       format('ALTER TABLE %I ADD CONSTRAINT %I %s', $1, conname, pg_get_constraintdef(oid))
     FROM pg_constraint WHERE conrelid = $1::regclass AND contype = 'u'`,
    [table],
  );
  for (const { drop } of rows) await client.query(drop);
  await insert();
  for (const { create } of rows) await client.query(create);
}
