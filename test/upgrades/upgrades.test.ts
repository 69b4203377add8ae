// The data of every release works after an upgrade, and the old release works on the new schema, beside the new one.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type Environment, processEnvironment } from '../../src/config/config.ts';
import type { Mailbox } from '../../src/dev/mailbox.ts';
import { openDatabase } from '../../src/store/postgres/database.ts';
import { missingGrants } from '../../src/store/postgres/grants.ts';
import { schemaProblem } from '../../src/store/postgres/migration-history.ts';
import { prepareDatabase } from '../../src/store/postgres/prepare-database.ts';
import { openTestMailbox, testEnvironment } from '../support/app.ts';
import { account, auth, type Caller, viaFetch } from '../support/clients.ts';
import { createTestDatabase } from '../support/databases.ts';
import { eventually } from '../support/eventually.ts';
import { type SignedIn, signedIn } from '../support/people.ts';
import { type RunningProcess, run, runMain, serve } from '../support/processes.ts';
import { stepUpWithPasskey, withPasskey } from '../support/second-factors.ts';
import { type ReleaseDump, releaseDumps, restoreDump } from './release-dump.ts';

const DUMPS = releaseDumps();
const ROUNDS = 12;

test('there is a dump to upgrade from', () => {
  expect(DUMPS.length).toBeGreaterThan(0);
});

describe.each(DUMPS)('from release $release', (dump) => {
  let mailbox: Mailbox;
  let environment: Environment;

  beforeAll(async () => {
    mailbox = await openTestMailbox();
    const { ownerUrl, serviceUrl } = await createTestDatabase('template0');
    environment = await testEnvironment(mailbox, {
      ...{ DATABASE_URL: serviceUrl, MIGRATION_DATABASE_URL: ownerUrl, MASTER_KEY: dump.masterKey },
    });
    await restoreDump(dump.release, ownerUrl);
    await prepareDatabase(ownerUrl, serviceUrl);
  });
  afterAll(() => mailbox.close());

  test('the schema is the current one, and the service has its privileges', async () => {
    await using db = openDatabase(
      { url: environment.DATABASE_URL as string, poolSize: 1, statementTimeoutMs: 10_000 },
      () => {},
    );
    expect(await schemaProblem(db)).toBeNull();
    expect(await missingGrants(db)).toEqual([]);
  });

  test('beside the old release, on the new schema, each serves under load, and receives the revocations of the other', async (context) => {
    const folder = checkOut(dump.revision);
    if (folder === null) return context.skip(`commit ${dump.revision} is not in this clone`);
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const [present, old] = [await serve(environment), await serveIn(folder, environment)];
    const servers = [present, old];
    try {
      const callers = [viaFetch(present.url), viaFetch(old.url, dump.protoPackage)] as const;
      await Promise.all(callers.map((call) => expectOldData(call, dump)));
      await Promise.all([load(callers[0], callers[1]), load(callers[1], callers[0])]);
      await useSecondFactor(...callers);
    } finally {
      for (const { child } of servers) child.kill('SIGTERM');
      expect(await Promise.all(servers.map(({ ended }) => ended))).toEqual([0, 0]);
    }
  }, 180_000);

  test('the sessions, roles, keys, mails and audit events of the old release work', async () => {
    const server = await serve(environment);
    const worker = runMain(['worker'], environment);
    try {
      const call = viaFetch(server.url);
      await expectOldData(call, dump);
      const { code, body } = await call(auth.refresh, { refreshToken: dump.ada.refreshToken });
      expect(code).toBe('ok');
      expect(decodeJwt(body.tokens.accessToken)).toMatchObject({ acr: 'pwd', amr: [], auth_time: expect.any(Number) });
      expect((await call(auth.verify, { accessToken: body.tokens.accessToken })).body.principal).toMatchObject({
        userId: dump.ada.userId,
        roles: ['clerk', 'staff', 'user'],
      });
      await eventually(() => mailbox.mails.some(({ to }) => to === dump.ada.email), 60_000);
      await expectWholeTrail(environment);
    } finally {
      for (const { child } of [server, worker]) child.kill('SIGTERM');
      await Promise.all([server.ended, worker.ended]);
    }
  }, 120_000);
});

/** Everything that can be repeated at several processes. */
async function expectOldData(call: Caller, { ada, grace, chief, apiKey }: ReleaseDump): Promise<void> {
  expect((await call(auth.login, ada)).code).toBe('ok');
  expect((await call(auth.refresh, { refreshToken: grace.refreshToken })).reason).toBe('SESSION_ENDED');
  const chiefs = (await call(auth.login, chief)).body.tokens.accessToken;
  expect((await call(auth.checkRole, { accessToken: chiefs, role: 'admin' })).body).toMatchObject({ allowed: true });
  const service = (await call(auth.issueServiceToken, {}, { bearer: apiKey })).body;
  const { body } = await call(auth.checkRole, { userId: ada.userId, role: 'staff' }, { bearer: service.accessToken });
  expect(body).toMatchObject({ allowed: true });
}

/** Users sign in at one release and use their sessions at both. A session that one ends is rejected by the other. */
async function load(here: Caller, there: Caller): Promise<void> {
  for (let round = 0; round < ROUNDS; round += 1) {
    const person = await signedIn(here);
    const { code, body } = await there(auth.refresh, { refreshToken: person.refreshToken });
    expect(code).toBe('ok');
    const { accessToken, refreshToken } = body.tokens as SignedIn;
    const isValid = async (call: Caller) => (await call(auth.verify, { accessToken })).code === 'ok';
    expect([await isValid(here), await isValid(there)]).toEqual([true, true]);
    expect((await here(auth.logout, { refreshToken })).code).toBe('ok');
    await eventually(async () => !(await isValid(there)));
  }
}

/** A token of the old release, which does not state a strength, begins a session that adds a factor and steps up. */
async function useSecondFactor(present: Caller, old: Caller): Promise<void> {
  const atOld = await signedIn(old);
  expect((await present(account.getMe, {}, { bearer: atOld.accessToken })).code).toBe('ok');
  const owner = await withPasskey(present, atOld);
  const stepped = await stepUpWithPasskey(present, owner);
  expect(decodeJwt(stepped.accessToken)).toMatchObject({ acr: 'phr', sid: decodeJwt(atOld.accessToken).sid });
  expect((await old(auth.verify, { accessToken: stepped.accessToken })).code).toBe('ok');
  const { code, body } = await old(auth.refresh, { refreshToken: stepped.refreshToken });
  expect(code).toBe('ok');
  const { tokens } = (await present(auth.refresh, { refreshToken: body.tokens.refreshToken })).body;
  expect(decodeJwt(tokens.accessToken)).toMatchObject({ acr: 'phr', amr: ['mfa', 'pop', 'pwd'] });
}

async function expectWholeTrail(environment: Environment): Promise<void> {
  const { ended, output } = runMain(['audit', 'verify'], environment);
  expect(await ended, output()).toBe(0);
  expect(output()).toContain('the audit trail is whole');
}

/** The tree of a commit with the dependencies of this checkout, or null where the clone does not have it. */
function checkOut(revision: string): string | null {
  if (spawnSync('git', ['cat-file', '-e', `${revision}^{commit}`]).status !== 0) return null;
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-release-'));
  const archive = execFileSync('git', ['archive', revision, 'src', 'gen', 'proto', 'package.json'], {
    maxBuffer: 256 * 1024 * 1024,
  });
  execFileSync('tar', ['-x', '-C', folder], { input: archive });
  symlinkSync(resolve('node_modules'), join(folder, 'node_modules'));
  return folder;
}

/** A release rejects a limit that it does not have. */
function withoutNewLimits(folder: string, environment: Environment): Environment {
  const known = readFileSync(join(folder, 'src/limits/limits.ts'), 'utf8');
  const isKnown = (key: string) => !key.startsWith('LIMIT_') || known.includes(`  ${key.slice('LIMIT_'.length)}: {`);
  return Object.fromEntries(Object.entries(environment).filter(([key]) => isKnown(key)));
}

async function serveIn(folder: string, environment: Environment): Promise<RunningProcess & { url: string }> {
  const { PATH = '' } = processEnvironment();
  const main = join(folder, 'src/main.ts');
  const server = run(process.execPath, [main, 'serve'], { PATH, ...withoutNewLimits(folder, environment) });
  const port = await eventually(() => {
    if (server.child.exitCode !== null) throw new Error(server.output());
    return /"port":(\d+)/.exec(server.output())?.[1];
  }, 60_000);
  return { ...server, url: `http://127.0.0.1:${port}` };
}
