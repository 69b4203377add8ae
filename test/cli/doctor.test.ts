import { describe, expect, onTestFinished, test } from 'vitest';
import { examine } from '../../src/cli/doctor/examine.ts';
import { createOutput } from '../../src/cli/output.ts';
import type { Environment } from '../../src/config/config.ts';
import { testApp } from '../support/app.ts';
import { openCertificates } from '../support/certificates.ts';
import { startMoodySmtp } from '../support/moody-smtp.ts';
import { runMain } from '../support/processes.ts';

const app = await testApp();

type Finding = { check: string; state: string; result: string; remedy: string };

/** In this process, because a start takes longer than all checks together. */
async function doctor(changes: Environment = {}) {
  let text = '';
  const output = createOutput(true, (more) => {
    text += more;
  });
  const isWell = await examine({ ...app.environment, ...changes }, output);
  return { isWell, of: select(JSON.parse(text)) };
}

/** Node reads NODE_EXTRA_CA_CERTS when it starts. */
async function doctorProcess(changes: Environment) {
  const running = runMain(['doctor', '--json'], { ...app.environment, ...changes });
  const isWell = (await running.ended) === 0;
  return { isWell, of: select(JSON.parse(running.output().split('\n', 1)[0] ?? '[]')) };
}

function select(findings: Finding[]) {
  return (check: string) =>
    findings.filter((one) => one.check === check).map(({ state, result }) => `${state}: ${result}`);
}

test('prints a table without problems for a healthy deployment', async () => {
  const running = runMain(['doctor'], app.environment);
  expect(await running.ended).toBe(0);
  for (const check of ['configuration', 'postgres', 'schema', 'database role', 'audit partitions', 'redis', 'smtp']) {
    expect(running.output()).toMatch(new RegExp(`^${check} +ok `, 'm'));
  }
  expect(running.output()).toMatch(/^clock against Postgres +ok +differs by \d+ ms/m);
});

test('prints every problem of the configuration', async () => {
  const { isWell, of } = await doctor({ MASTER_KEY: 'short', PUBLIC_URL: 'x' });
  expect(isWell).toBe(false);
  expect(of('configuration')).toHaveLength(2);
});

test('prints the waiting and the dead effects, and the running processes', async () => {
  const quiet = await doctor();
  expect(quiet.of('outbox, mail')[0]).toMatch(/^ok: 0 waiting/);
  expect(quiet.of('worker')[0]).toMatch(/^ok: last seen \d+ s ago/);
  expect(quiet.of('releases')[0]).toMatch(/^ok: 1 process runs \d+\.\d+\.\d+$/);
  await app.owner.query(
    "INSERT INTO outbox (id, topic, payload, created_at, dead_at) VALUES (gen_random_uuid(), 'mail', '{}', now(), now())",
  );
  await app.owner.query(
    "INSERT INTO processes (id, api, worker, release, host, clock_ahead_ms) VALUES (gen_random_uuid(), true, false, '9.9.9', 'other', -7000)",
  );
  onTestFinished(async () => {
    await app.owner.query("DELETE FROM outbox WHERE dead_at IS NOT NULL; DELETE FROM processes WHERE host = 'other'");
  });
  const { of } = await doctor();
  expect(of('outbox, mail')[0]).toMatch(/^warning: 0 waiting, .*; 1 dead$/);
  expect(of('releases')[0]).toMatch(/^warning: 2 processes run 0\.1\.0 and 9\.9\.9$/);
  expect(of('clocks of the processes')[0]).toMatch(/^warning: differ from the clock of Postgres: other by -7 s$/);
});

test('reports a read-only database, and missing privileges', async () => {
  const { rows } = await app.owner.query('SELECT current_database() AS name');
  const database = rows[0].name;
  await app.owner.query(`ALTER DATABASE ${database} SET default_transaction_read_only = on`);
  const readOnly = await doctor();
  await app.owner.query(`ALTER DATABASE ${database} RESET default_transaction_read_only`);
  expect(readOnly.of('postgres')[0]).toMatch(/^failed: Postgres cannot be written to: it is read-only/);
  await app.owner.query('REVOKE INSERT ON sessions FROM latchkey_service');
  onTestFinished(async () => {
    await app.owner.query('GRANT INSERT ON sessions TO latchkey_service');
  });
  const { isWell, of } = await doctor();
  expect(isWell).toBe(false);
  expect(of('database role')[0]).toBe('failed: privileges are missing: INSERT on sessions');
  const readiness = await fetch(`${app.url}/readyz`);
  expect([readiness.status, await readiness.json()]).toEqual([
    503,
    expect.objectContaining({ problems: ['privileges are missing: INSERT on sessions'] }),
  ]);
});

test('reports servers that do not respond, and continues with the other checks', async () => {
  const { isWell, of } = await doctor({ REDIS_URL: 'redis://127.0.0.1:1', SMTP_URL: 'smtp://127.0.0.1:1' });
  expect(isWell).toBe(false);
  expect([of('redis')[0], of('smtp')[0]]).toEqual([expect.stringMatching(/^failed/), expect.stringMatching(/^failed/)]);
  expect(of('postgres')[0]).toMatch(/^ok/);
  const away = await doctor({ DATABASE_URL: 'postgres://x:y@127.0.0.1:1/z' });
  expect(away.of('postgres')[0]).toMatch(/^failed/);
  expect(away.of('redis')[0]).toMatch(/^ok/);
});

test('reports a login that is the owner, and an old schema', async () => {
  const { of } = await doctor({ DATABASE_URL: app.environment.MIGRATION_DATABASE_URL });
  expect(of('database role')[0]).toMatch(/^failed: DATABASE_URL connects as a role that can/);
  const { rows } = await app.owner.query(
    'DELETE FROM schema_migrations WHERE name = (SELECT max(name) FROM schema_migrations) RETURNING name, sha256',
  );
  const { name, sha256 } = rows[0];
  onTestFinished(async () => {
    await app.owner.query(
      'INSERT INTO schema_migrations VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET sha256 = $2',
      [name, sha256],
    );
  });
  expect((await doctor()).of('schema')[0]).toContain(`failed: migrations have not run: ${name}`);
  await app.owner.query("INSERT INTO schema_migrations VALUES ($1, repeat('0', 64))", [name]);
  expect((await doctor()).of('schema')[0]).toContain(`failed: migration ${name} was changed after it was applied`);
});

test('reports API keys that expire within 30 days', async () => {
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
  const { isWell, of } = await doctor();
  expect(isWell).toBe(true);
  expect(of('API keys')[0]).toMatch(/^warning: 2 expire within 30 days, the first at .*: "first" of billing$/);
});

test('reports a certificate that expires soon', async () => {
  const certificates = await openCertificates();
  onTestFinished(() => certificates.remove());
  const { certFile, keyFile } = certificates.make('localhost', 'DNS:localhost');
  const { isWell, of } = await doctor({ TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile });
  expect(isWell).toBe(true);
  expect(of('certificate')[0]).toMatch(/^warning: valid until/);
});

describe('the SMTP server', () => {
  const login = (url: string) => url.replace('//', '//mailer:kd84hs02mzpq77@').replace('127.0.0.1', 'localhost');

  test('is printed with its greeting, TLS, AUTH, and the name of the client', async () => {
    const certificates = await openCertificates();
    const authority = certificates.make('authority', 'DNS:authority');
    const starttls = certificates.make('localhost', 'DNS:localhost', authority);
    const smtp = await startMoodySmtp({ starttls, authMethods: ['PLAIN', 'LOGIN'] });
    onTestFinished(async () => {
      certificates.remove();
      await smtp.close();
    });
    const changes = { SMTP_URL: login(smtp.url), NODE_EXTRA_CA_CERTS: authority.certFile };
    const { of } = await doctorProcess(changes);
    expect(of('smtp')).toEqual([
      'ok: greeting "220 mx.moody.example ESMTP"; TLS by TLSv1.3; AUTH PLAIN LOGIN offered; login accepted; EHLO product.example',
    ]);
    expect(smtp.helos).toEqual(['product.example', 'product.example']);
    smtp.change({ starttls, authMethods: ['PLAIN'], isLoginWrong: true });
    const wrong = await doctorProcess({ ...changes, SMTP_HELO_NAME: 'id.product.example' });
    expect(wrong.isWell).toBe(false);
    expect(wrong.of('smtp')[0]).toMatch(
      /^failed: EAUTH: 535 5\.7\.8 bad credentials; greeting .* EHLO id\.product\.example$/,
    );
    const stranger = await doctorProcess({ SMTP_URL: login(smtp.url) });
    expect(stranger.of('smtp')[0]).toMatch(/^failed: .*certificate.*; greeting "220 mx/);
  }, 60_000);

  test('that offers no AUTH for the login of SMTP_URL is a failure', async () => {
    const smtp = await startMoodySmtp();
    onTestFinished(() => smtp.close());
    const { isWell, of } = await doctorProcess({ SMTP_URL: login(smtp.url) });
    expect(isWell).toBe(false);
    expect(of('smtp')[0]).toMatch(
      /^failed: EAUTH: SMTP_URL has a user and a password, but .*; no TLS; no AUTH offered;/,
    );
  });
});
