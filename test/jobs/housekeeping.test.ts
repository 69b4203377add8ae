import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { expect, test } from 'vitest';
import { testApp } from '../support/app.ts';
import { auth } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { scrape, sumOf } from '../support/metrics.ts';
import { isAccepted, registered, signedIn } from '../support/people.ts';

const app = await testApp({ METRICS_PORT: '0' });
const { call } = app;

const count = async (table: string) => (await app.owner.query(`SELECT FROM ${table}`)).rowCount;

test('rows that ended a week ago are removed page by page, and no others', async () => {
  const { userId } = await registered(call);
  const living = await signedIn(call);
  await call(auth.requestReset, { email: living.email });
  await eventually(async () => (await count('password_resets')) === 1);
  const rows = 2_300;
  const old = "now() - interval '8 days'";
  const recent = "now() - interval '6 days'";
  for (const [ended, expires] of [
    ['NULL', old],
    [old, "now() + interval '1 day'"],
    [recent, 'now()'],
    ['NULL', recent],
  ]) {
    await app.owner.query(
      `INSERT INTO sessions (id, user_id, created_at, expires_at, ends_by, ended_at)
        SELECT gen_random_uuid(), $1, now(), ${expires}, ${expires}, ${ended} FROM generate_series(1, ${rows / 2})`,
      [userId],
    );
  }
  await app.owner.query(
    `INSERT INTO password_resets SELECT gen_random_uuid(), $1, 1, now(), ${old} FROM generate_series(1, 50)`,
    [userId],
  );
  await app.owner.query(
    `INSERT INTO email_verifications SELECT gen_random_uuid(), $1, '', '', 1, now(), ${old} FROM generate_series(1, 50)`,
    [userId],
  );
  const undoable = "now() - interval '13 days'";
  await app.owner.query(
    `INSERT INTO email_changes
      SELECT gen_random_uuid(), $1, '', NULL, now() - interval '1 year', changed_at, NULL
      FROM generate_series(1, 25), unnest(ARRAY[now() - interval '15 days', ${undoable}]) AS changed_at`,
    [userId],
  );
  await app.owner.query(
    `INSERT INTO oauth_flows SELECT gen_random_uuid(), 'x', 'x', NULL, now(), ${old} FROM generate_series(1, 50)`,
  );
  await app.owner.query(`INSERT INTO roles (name, description) VALUES ('short', ''), ('shorter', '')`);
  await app.owner.query(
    `INSERT INTO user_roles (user_id, role, granted_at, expires_at) VALUES ($1, 'short', now(), ${recent}), ($1, 'shorter', now(), ${old})`,
    [userId],
  );
  await eventually(async () => (await count('sessions')) === rows + 1, 60_000);
  expect([await count('password_resets'), await count('email_verifications'), await count('oauth_flows')]).toEqual([
    1, 0, 0,
  ]);
  await eventually(async () => (await count('email_changes')) === 25, 30_000);
  const { rows: grants } = await app.owner.query("SELECT role FROM user_roles WHERE role LIKE 'short%'");
  expect(grants).toEqual([{ role: 'short' }]);
  expect(await isAccepted(call, living.accessToken)).toBe(true);
  const seen = await scrape(app.metricsPort);
  expect(sumOf(seen, 'latchkey_housekeeping_removed_total', { task: 'sessions' })).toBe(rows);
  expect(sumOf(seen, 'latchkey_housekeeping_runs_total', { task: 'oauth_flows', outcome: 'done' })).toBeGreaterThan(0);
  // Rows that ended before need no event.
  const { rows: changes } = await app.owner.query("SELECT FROM changes WHERE kind = 'session_ended'");
  expect(changes).toHaveLength(0);
}, 90_000);

test('the service role can remove no other rows with it', async () => {
  const service = new pg.Client({ connectionString: app.environment.DATABASE_URL });
  await service.connect();
  await expect(service.query("SELECT remove_expired('users', NULL, 10)")).rejects.toThrow('not removed by age');
  await expect(service.query("SELECT remove_expired('sessions; DROP TABLE users', NULL, 10)")).rejects.toThrow(
    'not removed by age',
  );
  expect((await service.query("SELECT * FROM remove_expired('sessions', $1, 10)", [randomUUID()])).rows).toHaveLength(
    1,
  );
  await service.end();
});
