// Production rejects connections without encryption or authentication; test/jobs/mail-security.test.ts covers SMTP itself.
import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { ConfigError, type Environment, readConfig, readDatabaseConfig } from '../../src/config/config.ts';
import { RELEASE } from '../../src/process/release.ts';
import { runMain } from '../support/processes.ts';

const PASSWORD = 'kd84hs02mzpq77';
const VERIFIED = `postgres://service:${PASSWORD}@db.internal/latchkey?sslmode=verify-full`;
const safe: Environment = {
  NODE_ENV: 'production',
  PUBLIC_URL: 'https://product.example',
  ISSUER: 'https://id.product.example',
  DATABASE_URL: VERIFIED,
  MIGRATION_DATABASE_URL: VERIFIED,
  DATABASE_LISTEN_URL: VERIFIED,
  REDIS_URL: `rediss://:${PASSWORD}@cache.internal`,
  SMTP_URL: `smtp://mailer:${PASSWORD}@mail.internal:587`,
  MAIL_FROM: 'no-reply@product.example',
  MASTER_KEY: randomBytes(32).toString('base64'),
  METRICS_PORT: '9464',
  METRICS_HOST: '127.0.0.1',
  OTEL_EXPORTER_OTLP_ENDPOINT: 'https://collector.internal:4318',
};
/** One input for each word of ALLOW_CLEARTEXT. */
const CLEARTEXT: [word: string, key: string, value: string][] = [
  ['postgres', 'DATABASE_URL', `postgres://service:${PASSWORD}@db.internal/latchkey`],
  ['postgres', 'MIGRATION_DATABASE_URL', `postgres://owner:${PASSWORD}@db.internal/latchkey`],
  ['postgres', 'DATABASE_LISTEN_URL', `postgres://service:${PASSWORD}@db.internal/latchkey`],
  ['redis', 'REDIS_URL', `redis://:${PASSWORD}@cache.internal`],
  ['smtp', 'SMTP_URL', `smtp://mailer:${PASSWORD}@mail.internal?ignoreTLS=true`],
  ['public-url', 'PUBLIC_URL', 'http://product.example'],
  ['issuer', 'ISSUER', 'http://id.product.example'],
  ['metrics', 'METRICS_HOST', '0.0.0.0'],
  ['otlp', 'OTEL_EXPORTER_OTLP_ENDPOINT', 'http://collector.internal:4318'],
];

function problemsOf(environment: Environment, read: (from: Environment) => unknown = readConfig): string[] {
  try {
    read(environment);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems;
  }
}

test('protected connections are accepted, and others are rejected with the remedy and without the value', () => {
  expect(problemsOf(safe)).toEqual([]);
  for (const [word, key, value] of CLEARTEXT) {
    const problems = problemsOf({ ...safe, [key]: value });
    expect(problems, key).toEqual([expect.stringContaining(`add ${word} to ALLOW_CLEARTEXT`)]);
    expect(problems[0], key).toMatch(word === 'metrics' ? /^METRICS_PORT / : new RegExp(`^${key} `));
    expect(problems[0], key).not.toMatch(new RegExp(`${PASSWORD}|internal|product`));
  }
});

test('all problems are reported at once, and each word allows one kind of connection', () => {
  const exposed = { ...safe, ...Object.fromEntries(CLEARTEXT.map(([, key, value]) => [key, value])) };
  expect(problemsOf(exposed)).toHaveLength(CLEARTEXT.length);
  const words = [...new Set(CLEARTEXT.map(([word]) => word))];
  for (const word of words) {
    const left = problemsOf({ ...exposed, ALLOW_CLEARTEXT: words.filter((other) => other !== word).join(', ') });
    expect(left.length, word).toBe(CLEARTEXT.filter(([name]) => name === word).length);
  }
  expect(problemsOf({ ...exposed, ALLOW_CLEARTEXT: words.join(',') })).toEqual([]);
});

test('outside production every connection is accepted; an unknown word is rejected everywhere', () => {
  const exposed = { ...safe, ...Object.fromEntries(CLEARTEXT.map(([, key, value]) => [key, value])) };
  for (const NODE_ENV of ['development', 'test', undefined]) expect(problemsOf({ ...exposed, NODE_ENV })).toEqual([]);
  for (const NODE_ENV of ['development', 'production']) {
    for (const word of ['everything', 'SMTP', '*', 'smtp redis']) {
      const problems = problemsOf({ ...safe, NODE_ENV, ALLOW_CLEARTEXT: word });
      expect(problems, word).toEqual([expect.stringMatching(/^ALLOW_CLEARTEXT must be a list of these words: smtp, /)]);
    }
  }
});

test('ISSUER is PUBLIC_URL when it is not set, and is not reported twice', () => {
  const { ISSUER: _, ...rest } = safe;
  expect(problemsOf({ ...rest, PUBLIC_URL: 'http://product.example' })).toHaveLength(1);
  expect(problemsOf({ ...rest, PUBLIC_URL: 'http://product.example', ALLOW_CLEARTEXT: 'public-url' })).toEqual([]);
  expect(problemsOf({ ...rest, PUBLIC_URL: 'http://localhost:3000' })).toHaveLength(1);
});

describe('Postgres', () => {
  const refuses = (url: string) => problemsOf({ ...safe, DATABASE_URL: url }).length > 0;
  const at = (host: string, query = '') => `postgres://service:${PASSWORD}@${host}/latchkey${query}`;

  test.each([
    ['nothing said', at('db')],
    ['sslmode=disable', at('db', '?sslmode=disable')],
    ['sslmode=allow', at('db', '?sslmode=allow')],
    ['sslmode=prefer', at('db', '?sslmode=prefer')],
    ['sslmode=no-verify', at('db', '?sslmode=no-verify')],
    ['ssl=0', at('db', '?ssl=0')],
    ['ssl=no-verify', at('db', '?ssl=no-verify')],
    ['libpq’s require', at('db', '?uselibpqcompat=true&sslmode=require')],
    ['libpq’s prefer', at('db', '?uselibpqcompat=true&sslmode=prefer')],
    ['the last of two', at('db', '?sslmode=verify-full&sslmode=disable')],
    ['the first of two', at('db', '?sslmode=disable&sslmode=verify-full')],
    ['a host in the query', at('localhost', '?host=db')],
    ['an address that looks like this machine', at('127.0.0.1.evil.example')],
    ['an IPv6 address', at('[2001:db8::1]')],
    ['another spelling of the protocol', at('db').replace('postgres:', 'POSTGRESQL:')],
    ['a CA that cannot be read', at('db', '?sslmode=verify-full&sslrootcert=/nowhere.pem')],
  ])('is rejected with %s', (_, url) => {
    expect(refuses(url)).toBe(true);
  });

  test.each([
    ['verified TLS', at('db', '?sslmode=verify-full')],
    ['TLS that pg verifies', at('db', '?sslmode=require')],
    ['ssl=true', at('db', '?ssl=true')],
    ['localhost', at('localhost')],
    ['all of 127.0.0.0/8', at('127.9.9.9')],
    ['::1', at('[::1]')],
    ['a Unix socket', 'postgres:///latchkey?host=/var/run/postgresql&user=service'],
    ['a Unix socket as host', 'postgres://service@%2Fvar%2Frun%2Fpostgresql/latchkey'],
  ])('is accepted with %s', (_, url) => {
    expect(problemsOf({ ...safe, DATABASE_URL: url })).toEqual([]);
  });

  test('is checked in the same way by commands that need only the database', () => {
    const databaseOnly = { NODE_ENV: 'production', DATABASE_URL: at('db'), MIGRATION_DATABASE_URL: at('db') };
    expect(problemsOf(databaseOnly, readDatabaseConfig)).toHaveLength(2);
    expect(problemsOf({ ...databaseOnly, ALLOW_CLEARTEXT: 'postgres' }, readDatabaseConfig)).toEqual([]);
    expect(problemsOf({ ...databaseOnly, ALLOW_CLEARTEXT: 'postgresql' }, readDatabaseConfig)).toHaveLength(3);
  });
});

describe('Redis', () => {
  test.each([
    'redis://cache',
    'REDIS://cache',
    'REDISS://cache',
    'redis+sentinel://localhost,sentinel.internal/main',
    'redis+cluster://127.0.0.1:7000,10.0.0.1:7000',
    'redis://127.0.0.1.evil.example',
    'redis:///0?host=cache',
    'redis://[2001:db8::1]',
  ])('is rejected at %s', (url) => {
    expect(problemsOf({ ...safe, REDIS_URL: url })).toHaveLength(1);
  });

  test.each([
    ...['rediss://cache', 'redis://localhost', 'redis://127.0.0.1:6379/2', 'redis://[::1]:6379'],
    ...['rediss+sentinel://a,b/main', 'redis+sentinel://localhost,127.0.0.1:1/main'],
    ...['rediss+cluster://a,b', 'redis+cluster://127.0.0.1:7000,127.0.0.1:7001'],
  ])('is accepted at %s', (url) => {
    expect(problemsOf({ ...safe, REDIS_URL: url })).toEqual([]);
  });
});

test('SMTP_URL accepts no parameter that could turn off TLS or the login', () => {
  const at = (query: string) => `smtp://mailer:${PASSWORD}@mail.internal${query}`;
  for (const query of [
    ...['?ignoreTLS=true', '?requireTLS=false', '?opportunisticTLS=true', '?secured=true', '?forceAuth=false'],
    ...['?tls.rejectUnauthorized=false', '?service=Gmail', '?name=id.product.example&secure=false'],
  ]) {
    expect(problemsOf({ ...safe, SMTP_URL: at(query) }), query).toHaveLength(1);
  }
  for (const query of ['', '?name=id.product.example', '?tls.servername=mail.product.example']) {
    expect(problemsOf({ ...safe, SMTP_URL: at(query) }), query).toEqual([]);
  }
  expect(readConfig(safe).mail.mailer.security).toBe('required');
  expect(readConfig({ ...safe, ALLOW_CLEARTEXT: 'smtp' }).mail.mailer.security).toBe('opportunistic');
  expect(readConfig({ ...safe, NODE_ENV: 'development' }).mail.mailer.security).toBe('opportunistic');
});

test('metrics and telemetry stay on this machine or use TLS', () => {
  const { METRICS_HOST: _, OTEL_EXPORTER_OTLP_ENDPOINT: __, ...rest } = safe;
  expect(problemsOf(rest)).toEqual([expect.stringContaining('METRICS_HOST=127.0.0.1')]);
  expect(problemsOf({ ...rest, HOST: '::1' })).toEqual([]);
  const quiet = { ...rest, METRICS_PORT: undefined };
  for (const endpoint of [
    'http://collector',
    'collector:4317',
    'grpc://collector:4317',
    'http://localhost.evil.example',
  ]) {
    const one = { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint };
    expect(problemsOf({ ...quiet, ...one }), endpoint).toHaveLength(1);
    expect(problemsOf({ ...quiet, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: endpoint }), endpoint).toHaveLength(1);
    expect(problemsOf({ ...quiet, ...one, OTEL_SDK_DISABLED: 'true' }), endpoint).toEqual([]);
    const off = { OTEL_TRACES_EXPORTER: 'none', OTEL_METRICS_EXPORTER: 'none' };
    expect(problemsOf({ ...quiet, ...one, ...off }), endpoint).toEqual([]);
  }
  for (const endpoint of ['https://collector', 'http://localhost:4318', 'localhost:4317', 'http://[::1]:4318']) {
    expect(problemsOf({ ...quiet, OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }), endpoint).toEqual([]);
  }
});

test('NODE_TLS_REJECT_UNAUTHORIZED=0 is rejected with any ALLOW_CLEARTEXT', () => {
  const problems = problemsOf({ ...safe, NODE_TLS_REJECT_UNAUTHORIZED: '0', ALLOW_CLEARTEXT: 'postgres,redis,smtp' });
  expect(problems).toEqual([expect.stringContaining('NODE_EXTRA_CA_CERTS')]);
});

test('serve and migrate do not start', async () => {
  const exposed = { ...safe, DATABASE_URL: `postgres://service:${PASSWORD}@db.internal/latchkey` };
  for (const command of ['serve', 'worker', 'migrate']) {
    const started = runMain([command], exposed);
    expect(await started.ended, command).toBe(1);
    const [line = '', ...others] = started.output().split('\n');
    expect(others, command).toEqual(['']);
    expect(JSON.parse(line), command).toMatchObject({
      level: 'fatal',
      service_version: RELEASE,
      commit: expect.stringMatching(/./),
      msg: 'invalid configuration',
      problems: [expect.stringMatching(/^DATABASE_URL allows a connection /)],
    });
  }
});
