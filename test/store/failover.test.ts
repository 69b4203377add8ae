// A real primary, its standby, and a host name that leads to one of them: the responses of the service during a failover, and the
// time until it recovers.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import { type App, startApp } from '../../src/app.ts';
import { type Environment, readConfig } from '../../src/config/config.ts';
import type { Mailbox } from '../../src/dev/mailbox.ts';
import { createLogger } from '../../src/process/log.ts';
import { prepareDatabase } from '../../src/store/postgres/prepare-database.ts';
import { createPair, type PostgresPair } from '../chaos/postgres-pair.ts';
import { openTestMailbox, testEnvironment } from '../support/app.ts';
import { type Cable, layCable, through } from '../support/cable.ts';
import { auth, type Caller, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { isAccepted, newPerson, refreshed, registered, signedIn } from '../support/people.ts';

const SERVICE_PASSWORD = 'failover-service-password';

let folder: string;
let pair: PostgresPair;
let name: Cable;
let mailbox: Mailbox;
let environment: Environment;

type Node = { app: App; call: Caller; logs: string[]; readiness(): Promise<{ status: number; problems: string[] }> };

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'latchkey-failover-'));
  pair = await createPair(folder);
  const service = new URL(pair.primary.url('latchkey'));
  service.username = 'failover_service';
  service.password = SERVICE_PASSWORD;
  await prepareDatabase(pair.primary.url('latchkey'), service.href);
  await pair.addStandby();
  name = await layCable(pair.primary.port);
  mailbox = await openTestMailbox();
  environment = await testEnvironment(mailbox, {
    DATABASE_URL: through(service.href, name.port),
    MIGRATION_DATABASE_URL: through(pair.primary.url('latchkey'), name.port),
    DATABASE_STATEMENT_TIMEOUT_MS: '1000',
    REVOCATION_MAX_AGE_MS: '1000',
    SHUTDOWN_GRACE_SECONDS: '1',
  });
}, 120_000);
afterEach(async () => {
  await Promise.all([name.close(), mailbox.close(), pair.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

async function startNode(overrides: Environment = {}): Promise<Node> {
  const logs: string[] = [];
  const config = readConfig({ ...environment, ...overrides });
  const app = await startApp(
    config,
    { api: true, worker: false },
    createLogger('info', { write: (line) => void logs.push(line) }),
  );
  onTestFinished(() => app.close());
  const url = `http://127.0.0.1:${app.port}`;
  return {
    app,
    call: viaFetch(url),
    logs,
    async readiness() {
      const response = await fetch(`${url}/readyz`);
      const { problems } = (await response.json()) as { problems: string[] };
      return { status: response.status, problems };
    },
  };
}

/** A planned switchover: the former primary comes back as a standby, and still answers. */
async function switchOver(): Promise<void> {
  await pair.untilInStep();
  await pair.primary.stop('SIGINT');
  const { former } = await pair.promoteStandby();
  await pair.readmit(former);
}

/** Every one of fifty calls in a row. */
async function registersFiftyTimes(call: Caller): Promise<void> {
  for (let n = 0; n < 50; n += 1) expect((await call(auth.register, newPerson())).code).toBe('ok');
}

test('while the name leads to the former primary its answers are not used, and afterwards every call succeeds', async () => {
  const straight = through(environment.DATABASE_URL as string, pair.standby?.port ?? 0);
  const [behind, person] = await startNode().then(async (node) => [node, await signedIn(node.call)] as const);
  await switchOver();
  const ahead = await startNode({ DATABASE_URL: straight });
  const outOfDate = await eventually(async () => {
    const outcome = await behind.call(auth.verify, { accessToken: person.accessToken });
    return outcome.code === 'ok' ? null : outcome;
  }, 20_000);
  expect(outOfDate).toMatchObject({ code: 'unavailable', reason: 'DEPENDENCY_UNAVAILABLE' });
  const { status, problems } = await eventually(async () => {
    const readiness = await behind.readiness();
    return readiness.status === 503 ? readiness : null;
  });
  expect([status, problems.join()]).toEqual([503, expect.stringMatching(/recovery|former primary/)]);

  expect((await ahead.call(auth.logout, { refreshToken: person.refreshToken })).code).toBe('ok');
  for (let n = 0; n < 50; n += 1) {
    const { code } = await behind.call(auth.verify, { accessToken: person.accessToken });
    expect(code).toBe('unavailable');
    await sleep(20);
  }

  name.target = pair.primary.port;
  await eventually(async () => (await behind.readiness()).status === 200, 10_000);
  const { reason } = await behind.call(auth.verify, { accessToken: person.accessToken });
  expect(reason).toBe('TOKEN_REVOKED');
  await registersFiftyTimes(behind.call);
}, 120_000);

test('the answers of a former primary that resumes are not used', async () => {
  const node = await startNode();
  const person = await signedIn(node.call);
  await pair.untilInStep();
  pair.primary.freeze();
  const { former } = await pair.promoteStandby();
  name.target = pair.primary.port;
  await eventually(async () => (await node.readiness()).status === 200, 30_000);
  await eventually(
    async () => (await node.call(auth.refresh, { refreshToken: person.refreshToken })).code === 'ok',
    20_000,
  );

  former.thaw();
  name.target = former.port;
  name.cutAll();
  await eventually(async () => /former primary/.test((await node.readiness()).problems.join()));
  expect((await node.call(auth.register, newPerson())).reason).toBe('DEPENDENCY_UNAVAILABLE');
}, 120_000);

test('several hosts in one URL: the service finds the primary by itself', async () => {
  const several = new URL(environment.DATABASE_URL as string);
  const { username, password } = several;
  const hosts = [pair.standby, pair.primary].map((server) => `127.0.0.1:${server?.port}`).join();
  const url = `postgres://${username}:${password}@${hosts}/latchkey?target_session_attrs=read-write`;
  const owner = new URL(pair.primary.url('latchkey'));
  const ownerUrl = `postgres://${owner.username}:${owner.password}@${hosts}/another_database`;
  const created = await prepareDatabase(ownerUrl, url.replace('/latchkey?', '/another_database?'));
  expect(created.applied).toContain('0001_baseline');
  const node = await startNode({ DATABASE_URL: url });
  const person = await signedIn(node.call);
  await switchOver();
  await eventually(async () => (await node.readiness()).status === 200, 20_000);
  await registersFiftyTimes(node.call);
  expect((await node.call(auth.logout, { refreshToken: person.refreshToken })).code).toBe('ok');
  await eventually(
    async () => (await node.call(auth.verify, { accessToken: person.accessToken })).reason === 'TOKEN_REVOKED',
  );
}, 120_000);

test('a failover that lost transactions is logged, and the new primary counts', async () => {
  const node = await startNode();
  const person = await signedIn(node.call);
  await pair.untilInStep();
  await pair.standby?.stop('SIGINT');
  const lost = await registered(node.call);
  const successor = await refreshed(node.call, person);
  await pair.primary.query(`UPDATE users SET disabled_at = now() WHERE id = '${person.userId}'`);
  await eventually(async () => (await node.call(auth.verify, { accessToken: person.accessToken })).code !== 'ok');

  // The process looks at the end of the log twice a second.
  await sleep(1_500);
  await pair.primary.stop('SIGKILL');
  await pair.standby?.start();
  await pair.promoteStandby();
  name.target = pair.primary.port;
  await eventually(async () => (await node.readiness()).status === 200, 20_000);
  await eventually(() => node.logs.some((line) => /"lost_wal_bytes":[1-9]/.test(line)));
  // Its successor is lost, so the token before is the current one again.
  expect((await node.call(auth.refresh, { refreshToken: successor.refreshToken })).reason).toBe(
    'REFRESH_TOKEN_INVALID',
  );
  const again = await refreshed(node.call, person);
  expect((await node.call(auth.login, { email: lost.email, password: lost.password })).code).toBe('unauthenticated');
  // The lost event had made the user's tokens invalid in memory.
  await eventually(() => isAccepted(node.call, again.accessToken));
}, 120_000);

test('the service is not ready while the server is read-only', async () => {
  const node = await startNode();
  await pair.primary.query('ALTER SYSTEM SET default_transaction_read_only = on');
  await pair.primary.query('SELECT pg_reload_conf()');
  const { problems } = await eventually(async () => {
    const readiness = await node.readiness();
    return readiness.status === 503 ? readiness : null;
  });
  expect(problems.join()).toMatch(/read.only/);
  expect((await node.call(auth.register, newPerson())).reason).toBe('DEPENDENCY_UNAVAILABLE');
  await pair.primary.query('ALTER SYSTEM RESET default_transaction_read_only');
  await pair.primary.query('SELECT pg_reload_conf()');
  await eventually(async () => (await node.readiness()).status === 200);
  await registersFiftyTimes(node.call);
}, 120_000);

test.skipIf(process.getuid?.() !== 0)(
  'a server whose disk is full is not ready, and the condition is named',
  async () => {
    const disk = join(folder, 'small-disk');
    mkdirSync(disk);
    const node = await startNode();
    await pair.primary.stop('SIGINT');
    const options = 'size=8m,uid=65534,gid=65534,mode=0700';
    await pair.primary.start({ mount: `mount -t tmpfs -o ${options} tmpfs ${disk}` });
    await pair.primary.query(`CREATE TABLESPACE small LOCATION '${disk}'`);
    await pair.primary.query('ALTER TABLE write_probes SET TABLESPACE small');
    await pair.primary.query('CREATE TABLE filler (filler text) TABLESPACE small');
    await eventually(async () => (await node.readiness()).status === 200, 20_000);
    const fill = "INSERT INTO filler SELECT repeat('x', 1000) FROM generate_series(1, 100000)";
    await expect(pair.primary.query(fill)).rejects.toMatchObject({ code: '53100' });
    const { problems } = await eventually(async () => {
      const readiness = await node.readiness();
      return readiness.status === 503 ? readiness : null;
    }, 20_000);
    expect(problems).toEqual(['Postgres answers with an error: disk_full']);
    await pair.primary.query('DROP TABLE filler');
    await eventually(async () => (await node.readiness()).status === 200, 20_000);
  },
  120_000,
);
