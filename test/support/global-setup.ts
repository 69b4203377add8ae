// One Postgres and one Redis for the whole run, on ports and in folders of their own. Each test file gets a database of
// its own, cloned from a migrated template, and a numbered Redis database of its own.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { processEnvironment } from '../../src/config/config.ts';
import { startEmbeddedPostgres } from '../../src/dev/embedded-postgres.ts';
import { findRedis, startEmbeddedRedis } from '../../src/dev/embedded-redis.ts';
import { PROGRAM_CACHE } from '../../src/dev/settings.ts';
import { prepareDatabase } from '../../src/store/postgres/prepare-database.ts';
import { REDIS_DATABASES, SERVICE_LOGIN, TEMPLATE } from './names.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Connects as the superuser, to the database `postgres`. */
    postgresUrl: string;
    redisUrl: string;
  }
}

/** These databases need not survive a crash. */
const FAST = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', log_min_messages: 'fatal' };

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-test-'));
  const program = await findRedis(processEnvironment().PATH ?? '', PROGRAM_CACHE);
  const [postgres, redis] = await Promise.all([
    startEmbeddedPostgres(folder, FAST),
    startEmbeddedRedis(program, REDIS_DATABASES),
  ]);
  const template = new URL(postgres.url);
  template.pathname = `/${TEMPLATE}`;
  const service = new URL(template);
  service.username = SERVICE_LOGIN;
  await prepareDatabase(template.href, service.href);
  project.provide('postgresUrl', postgres.url);
  project.provide('redisUrl', redis.url);
  return async () => {
    await Promise.all([postgres.stop(), redis.stop()]);
    rmSync(folder, { recursive: true, force: true });
  };
}
