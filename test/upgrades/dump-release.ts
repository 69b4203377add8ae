// `npm run dump:release -- <release>` makes a database with this tree's code, fills it through the API, and dumps it for
// the tests of later releases.
import { execFile, execFileSync } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import pg from 'pg';
import { AuthService } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { type App, type Parts, startApp } from '../../src/app.ts';
import { type Environment, processEnvironment, readConfig } from '../../src/config/config.ts';
import { findRedis, startEmbeddedRedis } from '../../src/dev/embedded-redis.ts';
import { type Mailbox, startMailbox } from '../../src/dev/mailbox.ts';
import { PROGRAM_CACHE } from '../../src/dev/settings.ts';
import { apiKeyHash, newApiKey } from '../../src/domain/api-key.ts';
import { createLogger } from '../../src/process/log.ts';
import { prepareDatabase } from '../../src/store/postgres/prepare-database.ts';
import { account, auth, type Caller, viaFetch } from '../support/clients.ts';
import { findPostgresTools, startDebianPostgres, toolsEnvironment } from '../support/debian-postgres.ts';
import { eventually } from '../support/eventually.ts';
import { refreshed, registered, type SignedIn, signedIn } from '../support/people.ts';
import { FOLDER, type ReleaseDump } from './release-dump.ts';

const SERVICE_LOGIN = 'service';

async function dumpRelease(release: string): Promise<void> {
  if (!/^[\w.-]+$/.test(release)) throw new Error('usage: npm run dump:release -- <release>, such as 1.2.0');
  assertCommitted();
  await using started = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-dump-'));
  started.defer(() => rmSync(folder, { recursive: true }));
  const tools = await findPostgresTools();
  const postgres = await startDebianPostgres(tools, folder, { fsync: 'off' });
  started.defer(() => postgres.stop());
  const redis = await startEmbeddedRedis(await findRedis(processEnvironment().PATH ?? '', PROGRAM_CACHE));
  started.defer(() => redis.stop());
  const mailbox = await startMailbox({ port: 0, onMail: () => {} });
  started.defer(() => mailbox.close());

  const environment = environmentOn(postgres.url, redis.url, mailbox);
  const ownerUrl = environment.MIGRATION_DATABASE_URL as string;
  await prepareDatabase(ownerUrl, environment.DATABASE_URL as string);
  const owner = new pg.Client({ connectionString: ownerUrl });
  await owner.connect();
  started.defer(() => owner.end());
  const sample = await fill(environment, owner);

  const options = ['--no-owner', '--no-privileges', '--inserts', `--dbname=${ownerUrl}`];
  const { stdout } = await promisify(execFile)(join(tools.bin, 'pg_dump'), options, {
    env: toolsEnvironment(tools) as NodeJS.ProcessEnv,
    maxBuffer: 64 * 1024 * 1024,
  });
  const dump: ReleaseDump = {
    release,
    revision: git('rev-parse', 'HEAD'),
    protoPackage: AuthService.typeName.replace(/\.AuthService$/, ''),
    masterKey: environment.MASTER_KEY as string,
    ...sample,
  };
  writeFileSync(new URL(`${release}.sql.gz`, FOLDER), gzipSync(stdout, { level: 9 }));
  writeFileSync(new URL(`${release}.json`, FOLDER), `${JSON.stringify(dump, null, 2)}\n`);
}

/** The recorded revision must be the code that made the dump. */
function assertCommitted(): void {
  const changed = git('status', '--porcelain', '--', 'src', 'gen', 'package-lock.json');
  if (changed !== '') throw new Error(`commit these first, because the dump records the commit:\n${changed}`);
}

function git(...args: string[]): string {
  return execFileSync('git', args, { encoding: 'utf8' }).trim();
}

function environmentOn(serverUrl: string, redisUrl: string, mailbox: Mailbox): Environment {
  const owner = Object.assign(new URL(serverUrl), { pathname: '/latchkey' });
  const service = Object.assign(new URL(owner), { username: SERVICE_LOGIN });
  return {
    ...{ HOST: '127.0.0.1', PORT: '0', PUBLIC_URL: 'https://product.example', MAIL_FROM: 'no-reply@product.example' },
    ...{
      DATABASE_URL: service.href,
      MIGRATION_DATABASE_URL: owner.href,
      REDIS_URL: redisUrl,
      SMTP_URL: mailbox.smtpUrl,
    },
    ...{ MASTER_KEY: randomBytes(32).toString('base64'), ARGON2_MEMORY_KIB: '256', ARGON2_ITERATIONS: '1' },
  };
}

type Sample = Omit<ReleaseDump, 'release' | 'revision' | 'protoPackage' | 'masterKey'>;

async function fill(environment: Environment, owner: pg.Client): Promise<Sample> {
  const sample = await running(environment, { api: true, worker: true }, async (call) => {
    const ada = await refreshed(call, await signedIn(call));
    const grace = await signedIn(call);
    const chief = await registered(call);
    await call(auth.logout, { refreshToken: grace.refreshToken });
    await grantRoles(owner, ada.userId, chief.userId);
    const apiKey = await createService(owner);
    await eventually(async () => (await owner.query('SELECT FROM outbox')).rowCount === 0, 60_000);
    return { ada, grace, chief, apiKey };
  });
  // Without a worker, so that a mail and an audit event stay in the outbox.
  const ada = await running(environment, { api: true, worker: false }, (call) => changedPassword(call, sample.ada));
  await owner.query("UPDATE sessions SET expires_at = '2100-01-01', ends_by = '2100-01-01'");
  const { grace, chief, apiKey } = sample;
  return {
    ada: { ...accountOf(ada), refreshToken: ada.refreshToken },
    grace: { ...accountOf(grace), refreshToken: grace.refreshToken },
    chief: accountOf(chief),
    apiKey,
  };
}

function accountOf({ userId, email, password }: { userId: string; email: string; password: string }) {
  return { userId, email, password };
}

async function running<T>(environment: Environment, parts: Parts, work: (call: Caller) => Promise<T>): Promise<T> {
  const app: App = await startApp(readConfig(environment), parts, createLogger('warn'));
  try {
    return await work(viaFetch(`http://127.0.0.1:${app.port}`));
  } finally {
    await app.close();
  }
}

async function grantRoles(owner: pg.Client, clerk: string, chief: string): Promise<void> {
  await owner.query(
    "INSERT INTO roles (name, description) VALUES ('staff', 'Works here'), ('clerk', 'Keeps the books')",
  );
  await owner.query("INSERT INTO role_implications VALUES ('clerk', 'staff')");
  const grant = 'INSERT INTO user_roles (user_id, role, granted_at) VALUES ($1, $2, now())';
  await owner.query(grant, [clerk, 'clerk']);
  await owner.query(grant, [chief, 'admin']);
}

async function createService(owner: pg.Client): Promise<string> {
  const [id, apiKey] = [randomUUID(), newApiKey()];
  await owner.query(
    "INSERT INTO service_accounts (id, name, description, created_at, created_by) VALUES ($1, 'billing', '', now(), '')",
    [id],
  );
  await owner.query(
    `INSERT INTO service_account_roles (service_account_id, role, granted_at) VALUES ($1, 'latchkey.roles.read', now())`,
    [id],
  );
  await owner.query(
    `INSERT INTO api_keys (id, service_account_id, name, hash, created_at, created_by, expires_at)
      VALUES ($1, $2, 'first', $3, now(), '', '2100-01-01')`,
    [randomUUID(), id, apiKeyHash(apiKey)],
  );
  return apiKey;
}

async function changedPassword(call: Caller, signedInBefore: SignedIn): Promise<SignedIn> {
  // The role has made the access token stale.
  const person = await refreshed(call, signedInBefore);
  const newPassword = `another ${person.password}`;
  const input = { currentPassword: person.password, newPassword };
  const { code, body } = await call(account.changePassword, input, { bearer: person.accessToken });
  if (code !== 'ok') throw new Error(`ChangePassword: ${code}`);
  return { ...person, password: newPassword, ...body.tokens };
}

await dumpRelease(process.argv[2] ?? '');
process.exit();
