import pg from 'pg';
import { type Db, openDatabase } from './database.ts';
import { hostUrls, withoutSessionAttributes } from './host-urls.ts';
import { type MigrateResult, migrate } from './migrate.ts';
import { createServiceLogin } from './service-role.ts';

const STATEMENT_TIMEOUT_MS = 10 * 60_000;
/** SQLSTATE invalid_catalog_name */
const NO_SUCH_DATABASE = '3D000';
/** SQLSTATE duplicate_database, and unique_violation when two processes create it at the same moment */
const CREATED_MEANWHILE = new Set(['42P04', '23505']);

export async function migrateDatabase(ownerUrl: string): Promise<MigrateResult> {
  await using db = openAsOwner(ownerUrl);
  return migrate(db);
}

/** Creates a missing database, applies the migrations, and creates the login of serviceUrl or sets its password. */
export async function prepareDatabase(ownerUrl: string, serviceUrl: string): Promise<MigrateResult> {
  await createDatabaseIfMissing(ownerUrl);
  await using db = openAsOwner(ownerUrl);
  const result = await migrate(db);
  const { username, password } = firstHost(serviceUrl);
  if (username !== firstHost(ownerUrl).username) {
    await createServiceLogin(db, decodeURIComponent(username), decodeURIComponent(password));
  }
  return result;
}

/** @throws unless the server answers and accepts this login */
export async function connectOnce(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  client.on('error', () => {});
  await client.connect();
  await client.end();
}

function openAsOwner(url: string): Db {
  return openDatabase({ url, poolSize: 1, statementTimeoutMs: STATEMENT_TIMEOUT_MS }, () => {});
}

function firstHost(url: string): URL {
  return new URL(hostUrls(url)[0] ?? url);
}

async function createDatabaseIfMissing(url: string): Promise<void> {
  const urls = hostUrls(withoutSessionAttributes(url));
  for (const [n, hostUrl] of urls.entries()) {
    try {
      return await createAtHost(hostUrl);
    } catch (error) {
      if (n === urls.length - 1) throw error;
    }
  }
}

async function createAtHost(url: string): Promise<void> {
  try {
    await connectOnce(url);
  } catch (error) {
    if ((error as pg.DatabaseError).code !== NO_SUCH_DATABASE) throw error;
    await createDatabase(url);
  }
}

async function createDatabase(url: string): Promise<void> {
  const server = new URL(url);
  const name = decodeURIComponent(server.pathname.slice(1));
  server.pathname = '/postgres';
  const client = new pg.Client({ connectionString: server.href });
  await client.connect();
  try {
    await client.query(`CREATE DATABASE ${pg.escapeIdentifier(name)}`);
  } catch (error) {
    if (!CREATED_MEANWHILE.has((error as pg.DatabaseError).code ?? '')) throw error;
  } finally {
    await client.end();
  }
}
