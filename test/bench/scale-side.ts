// One filled database with a service on it.
import { randomInt, randomUUID } from 'node:crypto';
import pg from 'pg';
import { type App, startApp } from '../../src/app.ts';
import { type Environment, readConfig } from '../../src/config/config.ts';
import type { Email } from '../../src/domain/email.ts';
import { derivePurposeKeys, type PurposeKeys } from '../../src/keys/purpose-keys.ts';
import { createLogger } from '../../src/process/log.ts';
import { type Db, openDatabase } from '../../src/store/postgres/database.ts';
import { prepareDatabase } from '../../src/store/postgres/prepare-database.ts';
import { createStore, type Store } from '../../src/store/store.ts';
import { auth, type Caller, viaFetch } from '../support/clients.ts';
import { fillWithAccounts, SESSIONS_EACH } from '../support/many-accounts.ts';
import { PASSWORD, SERVICE_KEY } from './harness.ts';

export type Side = {
  users: number;
  store: Store;
  purposeKeys: PurposeKeys;
  db: Db;
  owner: pg.Pool;
  call: Caller;
  url: string;
  hundred: Person[];
  /** Random users with a live session. */
  people(count: number): Promise<Person[]>;
  close(): Promise<void>;
};
export type Person = { id: string; email: Email; externalId: string; sessionId: string };

type SideOptions = { users: number; masterKey: string; postgresUrl: string; redisUrl: string };

const LIMITS = ['LOGIN_ACCOUNT', 'LOGIN_PAIR', 'LOGIN_NETWORK', 'REFRESH_NETWORK', 'GLOBAL_SIGN_INS'];

export async function openSide(options: SideOptions): Promise<Side> {
  const { users } = options;
  const ownerUrl = new URL(options.postgresUrl);
  ownerUrl.pathname = `/scale_${users}`;
  const serviceUrl = new URL(ownerUrl);
  serviceUrl.username = 'scale_service';
  await prepareDatabase(ownerUrl.href, serviceUrl.href);
  const app = await startApp(readConfig(environmentOf(serviceUrl.href, options)), { api: true, worker: false }, QUIET);
  const owner = new pg.Pool({ connectionString: ownerUrl.href, max: 2 });
  owner.on('error', () => {});
  const call = viaFetch(`http://127.0.0.1:${app.port}`);
  await fill(owner, call, { ownerUrl: ownerUrl.href, users });
  const db = openDatabase({ url: serviceUrl.href, poolSize: 4, statementTimeoutMs: 60_000 }, () => {});
  const people = randomPeople(owner, users);
  return {
    ...{ users, owner, call, db, url: `http://127.0.0.1:${app.port}` },
    store: createStore(db, randomUUID, () => new Date()),
    purposeKeys: derivePurposeKeys([Buffer.from(options.masterKey, 'base64')]),
    people,
    hundred: await people(100),
    async close() {
      await closeAll(app, db, owner);
    },
  };
}

/** Users with a live session, not disabled, all with the same number of rows in other tables. */
export function randomPeople(owner: pg.Pool, users: number): Side['people'] {
  return async (count) => {
    const ids = Array.from({ length: count }, () => `crm-${randomInt(0, users / 100) * 100 + 22}`);
    const { rows } = await owner.query<Person>(
      `SELECT DISTINCT ON (users.id) users.id, email, external_id AS "externalId", sessions.id AS "sessionId"
       FROM users JOIN sessions ON user_id = users.id AND ended_at IS NULL WHERE external_id = ANY($1)`,
      [ids],
    );
    return rows;
  };
}

const QUIET = createLogger('fatal', { write: () => {} });

async function closeAll(app: App, db: Db, owner: pg.Pool): Promise<void> {
  await app.close();
  await Promise.all([db.destroy(), owner.end()]);
}

/** Every account has the same password. Cheap hashes, so that the time of the database shows. */
async function fill(
  owner: pg.Pool,
  call: Caller,
  { ownerUrl, users }: { ownerUrl: string; users: number },
): Promise<void> {
  const { rowCount } = await owner.query('SELECT FROM users WHERE external_id = $1', [`crm-${users}`]);
  if (rowCount === 1) return;
  const email = `first-${randomUUID()}@people.example`;
  await call(auth.register, { email, password: PASSWORD, fullName: 'Grace Hopper' });
  const { rows } = await owner.query('SELECT password_hash FROM users WHERE email = $1', [email]);
  const start = performance.now();
  await fillWithAccounts(ownerUrl, { users, sessionsEach: SESSIONS_EACH, passwordHash: rows[0].password_hash });
  const { rows: sized } = await owner.query('SELECT pg_size_pretty(pg_database_size(current_database())) AS size');
  const seconds = ((performance.now() - start) / 1000).toFixed(0);
  console.log(`filled with ${users.toLocaleString('en')} users in ${seconds} s: ${sized[0].size}`);
}

function environmentOf(databaseUrl: string, { masterKey, redisUrl }: SideOptions): Environment {
  return {
    HOST: '127.0.0.1',
    PORT: '0',
    PUBLIC_URL: 'http://localhost',
    MAIL_FROM: 'no-reply@product.example',
    DATABASE_URL: databaseUrl,
    REDIS_URL: redisUrl,
    SMTP_URL: 'smtp://127.0.0.1:1',
    MASTER_KEY: masterKey,
    SERVICE_KEYS: `bench=${SERVICE_KEY}`,
    ARGON2_MEMORY_KIB: '256',
    ARGON2_ITERATIONS: '1',
    ...Object.fromEntries(LIMITS.map((name) => [`LIMIT_${name}`, '100000000/1'])),
  };
}
