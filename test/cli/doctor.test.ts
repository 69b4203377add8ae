import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import type { Environment } from '../../src/config.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { openCertificates } from '../support/certificates.ts';
import { runMain } from '../support/processes.ts';

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp();
});
afterAll(() => app.close());

type Finding = { check: string; state: string; what: string; mend: string };

async function doctor(changes: Environment = {}) {
  const running = runMain(['doctor', '--json'], { ...app.environment, ...changes });
  const exit = await running.ended;
  const [line = '[]'] = running.output().split('\n');
  const findings: Finding[] = JSON.parse(line);
  return {
    exit,
    of: (check: string) => findings.filter((one) => one.check === check).map(({ state, what }) => `${state}: ${what}`),
  };
}

test('finds that all is well, and says it as a table', async () => {
  const running = runMain(['doctor'], app.environment);
  expect(await running.ended).toBe(0);
  for (const check of ['configuration', 'postgres', 'schema', 'database role', 'audit partitions', 'redis', 'smtp']) {
    expect(running.output()).toMatch(new RegExp(`^${check} +ok `, 'm'));
  }
  expect(running.output()).toMatch(/^clock against Postgres +ok +differs by \d+ ms/m);
});

test('says all that is wrong with the configuration', async () => {
  const { exit, of } = await doctor({ MASTER_KEY: 'short', PUBLIC_URL: 'x' });
  expect(exit).toBe(1);
  expect(of('configuration')).toHaveLength(2);
});

test('says what does not answer, and goes on with the rest', async () => {
  const { exit, of } = await doctor({ REDIS_URL: 'redis://127.0.0.1:1', SMTP_URL: 'smtp://127.0.0.1:1' });
  expect(exit).toBe(1);
  expect([of('redis')[0], of('smtp')[0]]).toEqual([expect.stringMatching(/^failed/), expect.stringMatching(/^failed/)]);
  expect(of('postgres')[0]).toMatch(/^ok/);
  const away = await doctor({ DATABASE_URL: 'postgres://x:y@127.0.0.1:1/z' });
  expect(away.of('postgres')[0]).toMatch(/^failed/);
  expect(away.of('redis')[0]).toMatch(/^ok/);
});

test('says when the login is the owner’s, and when the schema is old', async () => {
  const { of } = await doctor({ DATABASE_URL: app.environment.MIGRATION_DATABASE_URL });
  expect(of('database role')[0]).toMatch(/^failed: DATABASE_URL connects as a role that can/);
  const { rows } = await app.owner.query("DELETE FROM schema_migrations WHERE name = '0001_baseline' RETURNING sha256");
  onTestFinished(async () => {
    await app.owner.query(
      "INSERT INTO schema_migrations VALUES ('0001_baseline', $1) ON CONFLICT (name) DO UPDATE SET sha256 = $1",
      [rows[0].sha256],
    );
  });
  expect((await doctor()).of('schema')[0]).toMatch(/^failed: migrations have not run: 0001_baseline/);
  await app.owner.query("INSERT INTO schema_migrations VALUES ('0001_baseline', repeat('0', 64))");
  expect((await doctor()).of('schema')[0]).toMatch(/^failed: migration 0001_baseline was changed after it was applied/);
});

test('says which privileges the login lacks', async () => {
  await app.owner.query('REVOKE SELECT ON audit_chain FROM latchkey_service');
  onTestFinished(async () => void (await app.owner.query('GRANT SELECT ON audit_chain TO latchkey_service')));
  expect((await doctor()).of('database role')[0]).toMatch(
    /^failed: DATABASE_URL .* lacks SELECT on audit_chain: run migrate/,
  );
  await app.owner.query('REVOKE EXECUTE ON FUNCTION prune_changes FROM latchkey_service');
  onTestFinished(
    async () => void (await app.owner.query('GRANT EXECUTE ON FUNCTION prune_changes TO latchkey_service')),
  );
  expect((await doctor()).of('database role')[0]).toMatch(/lacks EXECUTE on prune_changes, and 1 other privileges/);
});

test('says which API key expires within 30 days', async () => {
  expect((await doctor()).of('API keys')).toEqual(['ok: none expires within 30 days']);
  await app.owner.query("INSERT INTO service_accounts VALUES (gen_random_uuid(), 'billing', '', now(), '')");
  const add = (name: string, end: string, revoked: string) =>
    app.owner.query(
      `INSERT INTO api_keys SELECT gen_random_uuid(), id, $1::text, sha256($1::text::bytea), now(), '', now() + $2::interval, ${revoked}
        FROM service_accounts`,
      [name, end],
    );
  await add('of a year', '1 year', 'NULL');
  await add('revoked', '1 day', 'now()');
  await add('expired', '-1 day', 'NULL');
  expect((await doctor()).of('API keys')).toEqual(['ok: none expires within 30 days']);
  await add('second', '29 days', 'NULL');
  await add('first', '28 days', 'NULL');
  const { exit, of } = await doctor();
  expect(exit).toBe(0);
  expect(of('API keys')[0]).toMatch(/^warning: 2 expire within 30 days, the first at .*: "first" of billing$/);
});

test('says when a certificate is about to end', async () => {
  const certificates = await openCertificates();
  onTestFinished(() => certificates.remove());
  const { certFile, keyFile } = certificates.make('localhost', 'DNS:localhost');
  const { exit, of } = await doctor({ TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile });
  expect(exit).toBe(0);
  expect(of('certificate')[0]).toMatch(/^warning: is good until/);
});
