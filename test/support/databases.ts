import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import pg from 'pg';
import { inject } from 'vitest';
import { REDIS_DATABASES, SERVICE_LOGIN, TEMPLATE } from './names.ts';

export type TestDatabase = { ownerUrl: string; serviceUrl: string };

/** A migrated database of its own. */
export async function createTestDatabase(template = TEMPLATE): Promise<TestDatabase> {
  const server = inject('postgresUrl');
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  await withClient(server, (client) => client.query(`CREATE DATABASE ${name} TEMPLATE ${template}`));
  const owner = new URL(server);
  owner.pathname = `/${name}`;
  const service = new URL(owner);
  service.username = SERVICE_LOGIN;
  return { ownerUrl: owner.href, serviceUrl: service.href };
}

/** A numbered Redis database of its own. */
export async function createTestRedis(): Promise<string> {
  const url = inject('redisUrl');
  const redis = new Redis(url);
  try {
    const taken = await redis.incr('test:databases');
    if (taken >= REDIS_DATABASES) throw new Error('more Redis databases are wanted than the test server has');
    return `${url}/${taken}`;
  } finally {
    redis.disconnect();
  }
}

async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}
