import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ConfigError, type Environment, readConfig, readDatabaseConfig } from '../../src/config/config.ts';
import { LIMITS } from '../../src/limits/limits.ts';
import { runMain } from '../support/processes.ts';

const key = randomBytes(32);
const good: Environment = {
  PUBLIC_URL: 'https://product.example/',
  DATABASE_URL: 'postgres://service:a-long-random-one@db/latchkey',
  REDIS_URL: 'redis://cache',
  SMTP_URL: 'smtp://mail',
  MAIL_FROM: 'no-reply@product.example',
  MASTER_KEY: key.toString('base64'),
};

function problemsOf(environment: Environment): string[] {
  try {
    readConfig(environment);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems;
  }
}

test('the reference has each key, and the defaults are those of the page', async () => {
  const { readFile } = await import('node:fs/promises');
  const page = await readFile('docs/reference/configuration.md', 'utf8');
  const keys = Object.keys(readConfig(good)).filter(
    (key) => !['limits', 'tls', 'telemetry', 'providers', 'masterKeys', 'keyPolicy', 'mailer'].includes(key),
  );
  for (const key of keys) expect(page, key).toContain(`\`${key}\``);
  const config = readConfig(good);
  expect(config).toMatchObject({
    PORT: 8080,
    PUBLIC_URL: 'https://product.example',
    ISSUER: 'https://product.example',
    AUDIENCE: ['latchkey'],
    ACCESS_TOKEN_TTL_SECONDS: 900,
    SESSION_IDLE_SECONDS: 604_800,
    SESSION_MAX_SECONDS: 7_776_000,
    ARGON2_MEMORY_KIB: 19_456,
    ARGON2_ITERATIONS: 2,
    ARGON2_PARALLELISM: 1,
    PASSWORD_MIN_LENGTH: 8,
    SHUTDOWN_DELAY_SECONDS: 0,
    SHUTDOWN_GRACE_SECONDS: 10,
    masterKeys: [key],
    MAIL_RETRY_FOR_SECONDS: 259_200,
    keyPolicy: { algorithm: 'EdDSA', rotateEveryMs: 30 * 86_400_000, publishMs: 3_600_000 },
    limits: LIMITS,
  });
});

test('AUDIENCE lists the audiences of the deployment, and Latchkey’s own is always among them', () => {
  const audiences = (AUDIENCE: string) => readConfig({ ...good, AUDIENCE }).AUDIENCE;
  expect(audiences('shop, https://api.example/v1,shop')).toEqual(['shop', 'https://api.example/v1', 'latchkey']);
  expect(audiences('latchkey,shop')).toEqual(['latchkey', 'shop']);
  expect(audiences('')).toEqual(['latchkey']);
  for (const bad of ['two words', 'münchen', 'x'.repeat(501)]) {
    expect(problemsOf({ ...good, AUDIENCE: bad })).toEqual([expect.stringMatching(/^AUDIENCE must be names or URIs/)]);
  }
});

test('the words and the folder that new passwords are checked against are checked themselves', () => {
  expect(readConfig(good)).toMatchObject({ PASSWORD_CONTEXT_WORDS: [] });
  expect(readConfig({ ...good, PASSWORD_CONTEXT_WORDS: 'acme, rocket skates ,' })).toMatchObject({
    PASSWORD_CONTEXT_WORDS: ['acme', 'rocket skates'],
  });
  expect(problemsOf({ ...good, PASSWORD_CONTEXT_WORDS: 'acme,abc' })).toEqual([
    'PASSWORD_CONTEXT_WORDS must be words of 4 to 100 characters, separated by commas',
  ]);
  expect(readConfig({ ...good, PASSWORD_BREACH_RANGES: tmpdir() })).toMatchObject({ PASSWORD_BREACH_RANGES: tmpdir() });
  for (const path of [join(tmpdir(), 'there', 'is none'), import.meta.filename]) {
    expect(problemsOf({ ...good, PASSWORD_BREACH_RANGES: path })).toEqual([
      'PASSWORD_BREACH_RANGES must be a folder that exists',
    ]);
  }
});

test('every bad key is reported at once, and no value', () => {
  const problems = problemsOf({
    ...good,
    PORT: 'eighty',
    MAIL_FROM: 'nobody',
    DATABASE_URL: 'mysql://root:hunter2@db',
    MASTER_KEY: 'hunter2',
    LIMIT_LOGIN_PAIR: 'five',
    REDIS_URL: undefined,
    SERVICE_KEYS: 'gateway=hunter2',
  });
  const keys = problems.map((problem) => problem.split(' ')[0]);
  expect(keys.toSorted()).toEqual(
    ['DATABASE_URL', 'LIMIT_LOGIN_PAIR', 'MAIL_FROM', 'MASTER_KEY', 'PORT', 'REDIS_URL', 'SERVICE_KEYS'].toSorted(),
  );
  expect(problems.join('\n')).not.toContain('hunter2');
  expect(problems).toContain('REDIS_URL is missing');
});

describe('mail', () => {
  test.each([
    ['no-reply@product.example', { name: '', address: 'no-reply@product.example' }],
    ['Acme Accounts <no-reply@bücher.example>', { name: 'Acme Accounts', address: 'no-reply@xn--bcher-kva.example' }],
    ['"Acme, \\"Inc.\\"" <no-reply@acme.example>', { name: 'Acme, "Inc."', address: 'no-reply@acme.example' }],
    ['Zoë <no-reply@acme.example>', { name: 'Zoë', address: 'no-reply@acme.example' }],
    ['<no-reply@acme.example>', { name: '', address: 'no-reply@acme.example' }],
  ])('comes from %s', (MAIL_FROM, from) => {
    expect(readConfig({ ...good, MAIL_FROM }).mailer.from).toEqual(from);
  });

  test.each([
    'nobody',
    'a@b',
    'A <a@product.example> B',
    'A <a@product.example>, B <b@product.example>',
    'A <a@product.example\r\nBcc: b@product.example>',
    'A\r\nBcc: b@product.example <a@product.example>',
    `${'x'.repeat(101)} <a@product.example>`,
  ])('does not come from %j', (MAIL_FROM) => {
    expect(problemsOf({ ...good, MAIL_FROM })).toEqual([expect.stringMatching(/^MAIL_FROM must /)]);
  });

  test.each([
    ['https://id.product.example/app', 'id.product.example'],
    ['https://bücher.example', 'xn--bcher-kva.example'],
    ['http://127.0.0.1:3000', 'localhost'],
    ['https://192.0.2.7', '[192.0.2.7]'],
    ['https://[2001:db8::7]', '[IPv6:2001:db8::7]'],
  ])('is sent by a client that is named after %s', (PUBLIC_URL, name) => {
    expect(readConfig({ ...good, PUBLIC_URL }).mailer.heloName).toBe(name);
    const SMTP_HELO_NAME = 'mail.product.example';
    expect(readConfig({ ...good, PUBLIC_URL, SMTP_HELO_NAME }).mailer.heloName).toBe(SMTP_HELO_NAME);
  });

  test.each(['mail', 'a b.example', 'mail.example\r\nRSET', '[x]', '-.example'])('has no client named %j', (name) => {
    expect(problemsOf({ ...good, SMTP_HELO_NAME: name })).toHaveLength(1);
  });
});

test.each([
  ['SMTP_URL', 'smtp://mailer:hunter/2@mail'],
  ['REDIS_URL', 'redis://:hunter#2@cache'],
  ['DATABASE_URL', 'postgres://service:hunter?2@db/latchkey'],
  ['MIGRATION_DATABASE_URL', 'postgres://owner:hunter@2@db/latchkey'],
  ['DATABASE_LISTEN_URL', 'postgres://service:hunter%2@db/latchkey'],
])('%s says when its password is not percent-encoded, and does not repeat it', (key, url) => {
  const problems = problemsOf({ ...good, [key]: url });
  expect(problems).toEqual([expect.stringMatching(new RegExp(`^${key} has a character .*percent-encode it`))]);
  expect(problems[0]).not.toContain('hunter');
});

test('DATABASE_LISTEN_URL may be none', () => {
  expect(readConfig({ ...good, DATABASE_LISTEN_URL: 'none' }).DATABASE_LISTEN_URL).toBeNull();
  expect(problemsOf({ ...good, DATABASE_LISTEN_URL: 'nothing' })).toEqual([
    'DATABASE_LISTEN_URL must be a URL that begins with postgres:// or postgresql://, or none',
  ]);
});

describe('MASTER_KEY', () => {
  test.each([
    ['missing', undefined],
    ['empty', ''],
    ['short', randomBytes(16).toString('base64')],
    ['long', randomBytes(48).toString('base64')],
    ['no encoding', 'x'.repeat(32)],
    ['all zeros', Buffer.alloc(32).toString('base64')],
    ['counting', Buffer.from('0123456789012345678901234567890a').toString('base64')],
    ['words', Buffer.from('change-me-change-me-change-me-32').toString('base64')],
  ])('%s is refused', (_, value) => {
    expect(problemsOf({ ...good, MASTER_KEY: value })).toHaveLength(1);
  });

  test.each(['base64', 'base64url', 'hex'] as const)('is taken in %s', (encoding) => {
    expect(readConfig({ ...good, MASTER_KEY: key.toString(encoding) }).masterKeys).toEqual([key]);
  });

  test('that is random is never taken for a sample', () => {
    for (let n = 0; n < 20_000; n += 1) {
      expect(problemsOf({ ...good, MASTER_KEY: randomBytes(32).toString('base64') })).toEqual([]);
    }
  });
});

describe('how signing keys come and go', () => {
  const [one, two] = [randomBytes(32), randomBytes(32)];

  test('other master keys are accepted besides, also from a file', () => {
    const accepted = `${one.toString('base64')}, ${two.toString('hex')}`;
    expect(readConfig({ ...good, MASTER_KEY_ACCEPTED: accepted }).masterKeys).toEqual([key, one, two]);
    expect(JSON.stringify(readConfig({ ...good, MASTER_KEY_ACCEPTED: accepted }))).not.toContain('MASTER_KEY');
    for (const bad of ['x', `${one.toString('base64')},short`, Buffer.alloc(32).toString('base64')]) {
      expect(problemsOf({ ...good, MASTER_KEY_ACCEPTED: bad }), bad).toHaveLength(1);
    }
  });

  test.each([
    ['KEY_ROTATION_SECONDS', '5', 'KEY_ROTATION_SECONDS must be 0, or an hour (3600) and more'],
    ['KEY_ROTATION_SECONDS', '-1', 'KEY_ROTATION_SECONDS '],
    ['KEY_PUBLISH_SECONDS', '1', 'KEY_PUBLISH_SECONDS '],
    ['KEY_PUBLISH_SECONDS', '9', 'KEY_PUBLISH_SECONDS must be at least twice REVOCATION_MAX_AGE_MS'],
    ['SIGNING_ALGORITHM', 'HS256', 'SIGNING_ALGORITHM '],
    ['SIGNING_ALGORITHM', 'none', 'SIGNING_ALGORITHM '],
  ])('%s=%s is refused', (name, value, why) => {
    expect(problemsOf({ ...good, [name]: value })[0]).toContain(why);
  });

  test('never by itself, if so wished', () => {
    expect(readConfig({ ...good, KEY_ROTATION_SECONDS: '0' }).keyPolicy.rotateEveryMs).toBe(0);
  });
});

test('the delay of a stop is 5 seconds in production, unless it is set', () => {
  const production = { ...good, NODE_ENV: 'production', ALLOW_CLEARTEXT: 'postgres, redis' };
  const delayOf = (environment: Environment) => readConfig(environment).SHUTDOWN_DELAY_SECONDS;
  expect(delayOf(production)).toBe(5);
  expect(delayOf({ ...production, SHUTDOWN_DELAY_SECONDS: '0' })).toBe(0);
  expect(delayOf({ ...good, SHUTDOWN_DELAY_SECONDS: '300' })).toBe(300);
  expect(problemsOf({ ...good, SHUTDOWN_DELAY_SECONDS: '301' })[0]).toMatch(/^SHUTDOWN_DELAY_SECONDS /);
});

test('production takes no sample passwords in URLs either', () => {
  const production = { ...good, NODE_ENV: 'production', ALLOW_CLEARTEXT: 'postgres, redis' };
  expect(problemsOf(production)).toEqual([]);
  expect(problemsOf({ ...production, DATABASE_URL: 'postgres://db/latchkey' })).toEqual([]);
  expect(
    problemsOf({ ...production, DATABASE_URL: 'postgres://a:postgres@db/x', REDIS_URL: 'redis://:short@c' }),
  ).toEqual([
    'DATABASE_URL has a password that is short or a sample',
    'REDIS_URL has a password that is short or a sample',
  ]);
  const long = randomBytes(16).toString('hex');
  for (const [url, weak] of [
    [`redis+cluster://:${long}@a,b`, 0],
    ['redis+cluster://:short@a,b', 1],
    [`redis+sentinel://:${long}@a,b/main?sentinel_password=${long}`, 0],
    [`redis+sentinel://:${long}@a,b/main?sentinel_password=short`, 1],
  ] as const) {
    expect(problemsOf({ ...production, REDIS_URL: url }), url).toHaveLength(weak);
  }
});

test.each<[string, RegExp | null]>([
  ['postgres://me:long-and-random-1@a:5432,b/latchkey', null],
  ['postgres://me:long,and-random-1@[::1]:5432,b/latchkey?sslmode=require&target_session_attrs=primary', null],
  ['postgres://me:long-and-random-1@a,,b/latchkey', /a host before and after each comma/],
  ['postgres://me:long-and-random-1@a,/latchkey', /a host before and after each comma/],
  ['postgres://me:long-and-random-1@a,b/latchkey?target_session_attrs=any', /must ask for the primary/],
])('several Postgres hosts: %s', (DATABASE_URL, problem) => {
  expect(problemsOf({ ...good, DATABASE_URL })).toEqual(problem ? [expect.stringMatching(problem)] : []);
});

test('a Redis URL without a known form is rejected with the forms', () => {
  expect(problemsOf({ ...good, REDIS_URL: 'redis+sentinel://one:26379' })).toEqual([
    expect.stringMatching(/^REDIS_URL must be redis:\/\//),
  ]);
});

describe('secrets from files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-config-'));
  const file = join(folder, 'key');
  writeFileSync(file, `${key.toString('base64')}\n`);
  const { MASTER_KEY: _, ...rest } = good;

  test('are read, without the line end', () => {
    expect(readConfig({ ...rest, MASTER_KEY_FILE: file }).masterKeys).toEqual([key]);
    onTestFinished(() => rmSync(folder, { recursive: true }));
  });

  test('and values exclude each other', () => {
    expect(problemsOf({ ...good, MASTER_KEY_FILE: file })[0]).toMatch(/both set/);
  });

  test('that cannot be read are reported', () => {
    expect(problemsOf({ ...rest, MASTER_KEY_FILE: '/nowhere' })).toEqual([
      'MASTER_KEY_FILE cannot be read (ENOENT)',
      'MASTER_KEY is missing',
    ]);
  });
});

test('service keys have names and are long', () => {
  const one = 'k'.repeat(16) + randomBytes(16).toString('hex');
  expect(readConfig({ ...good, SERVICE_KEYS: `gateway=${one}, billing=${one}x` }).SERVICE_KEYS.get('billing')).toBe(
    `${one}x`,
  );
  for (const bad of ['nokey', `Gateway=${one}`, `a=${one},a=${one}`, 'a=short']) {
    expect(problemsOf({ ...good, SERVICE_KEYS: bad }), bad).toHaveLength(1);
  }
});

test('limits are set by name', () => {
  expect(readConfig({ ...good, LIMIT_LOGIN_ACCOUNT: '10/60' }).limits.LOGIN_ACCOUNT).toEqual({
    points: 10,
    windowSeconds: 60,
  });
});

test('metrics and traces are sent where OpenTelemetry’s variables say, and nowhere by default', () => {
  expect(readConfig(good).telemetry).toEqual({ prometheus: null, otlpMetrics: null, traces: false });
  const sent = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' };
  const otlpMetrics = { protocol: 'http/protobuf', intervalMs: 60_000 };
  expect(readConfig({ ...good, ...sent }).telemetry).toMatchObject({ otlpMetrics, traces: true });
  expect(readConfig({ ...good, OTEL_TRACES_EXPORTER: 'otlp' }).telemetry).toMatchObject({ traces: true });
  for (const off of [{ OTEL_SDK_DISABLED: 'true' }, { OTEL_TRACES_EXPORTER: 'none', OTEL_METRICS_EXPORTER: 'none' }]) {
    expect(readConfig({ ...good, ...sent, ...off }).telemetry).toMatchObject({ otlpMetrics: null, traces: false });
  }
  expect(readConfig({ ...good, METRICS_PORT: '9464', HOST: '::1' }).telemetry.prometheus).toEqual({
    host: '::1',
    port: 9464,
  });
  const bad = {
    OTEL_METRICS_EXPORTER: 'prometheus',
    OTEL_EXPORTER_OTLP_PROTOCOL: 'x',
    OTEL_METRIC_EXPORT_INTERVAL: '1',
  };
  for (const [key, value] of Object.entries(bad)) expect(problemsOf({ ...good, [key]: value }), key).toHaveLength(1);
});

test.each([
  ['PROXY_PROTOCOL', { PROXY_PROTOCOL: 'on' }],
  ['METRICS_PORT', { METRICS_PORT: '9464', OTEL_SDK_DISABLED: 'true' }],
  ['METRICS_HOST', { METRICS_HOST: '127.0.0.1' }],
])('%s is refused beside, or without, what makes it mean something', (key, more) => {
  expect(problemsOf({ ...good, ...more })).toEqual([expect.stringContaining(key)]);
});

test('providers are named, and each says what it needs', () => {
  const google = {
    ...{ OAUTH_PROVIDERS: 'google', OAUTH_GOOGLE_CLIENT_ID: 'a', OAUTH_GOOGLE_CLIENT_SECRET: 'b' },
    OAUTH_GOOGLE_REDIRECT_URIS: 'https://app.example/google, com.example.app:/callback',
  };
  expect(readConfig({ ...good, ...google }).providers.get('google')).toEqual({
    ...{ kind: 'openid', clientId: 'a', clientSecret: 'b' },
    ...{ issuer: 'https://accounts.google.com', scopes: 'openid email profile' },
    redirectUris: ['https://app.example/google', 'com.example.app:/callback'],
  });
  expect(problemsOf({ ...good, OAUTH_PROVIDERS: 'google,acme' })).toHaveLength(7);
  const acme = {
    ...{ OAUTH_PROVIDERS: 'acme', OAUTH_ACME_CLIENT_ID: 'a', OAUTH_ACME_CLIENT_SECRET: 'b' },
    OAUTH_ACME_REDIRECT_URIS: 'https://app.example/acme',
  };
  for (const issuer of [
    'http://acme.example',
    'x',
    'https://a:b@acme.example',
    'https://acme.example?x',
    'http://localhost.evil.example',
  ]) {
    expect(problemsOf({ ...good, ...acme, OAUTH_ACME_ISSUER: issuer }), issuer).toHaveLength(1);
  }
  expect(problemsOf({ ...good, OAUTH_PROVIDERS: 'Goo gle' })).toHaveLength(1);
  for (const uri of [
    ...['x', 'https://app.example/#x', 'https://*.example/', 'https://app.example/?x=1'],
    ...['https://app.example', 'https://App.example/', 'https://app.example:443/'],
  ])
    expect(problemsOf({ ...good, ...google, OAUTH_GOOGLE_REDIRECT_URIS: uri }), uri).toHaveLength(1);
  const both = { ...google, ...acme, OAUTH_PROVIDERS: 'google,acme', OAUTH_ACME_ISSUER: 'https://acme.example' };
  expect(problemsOf({ ...good, ...both })).toEqual([]);
  expect(problemsOf({ ...good, ...both, OAUTH_ACME_REDIRECT_URIS: 'com.example.app:/callback' })).toHaveLength(1);
});

test('what needs only the database asks for nothing more', () => {
  expect(readDatabaseConfig({ DATABASE_URL: good.DATABASE_URL })).toMatchObject({
    DATABASE_URL: good.DATABASE_URL,
    MIGRATION_DATABASE_URL: good.DATABASE_URL,
  });
});

test('the command line says what is wrong and exits with 1; with 2 when it is called wrongly', async () => {
  const unconfigured = runMain(['serve'], {});
  expect(await unconfigured.ended).toBe(1);
  expect(unconfigured.output()).toMatch(/^bad configuration:\n( {2}\w+ is missing\n)+$/);
  for (const args of [[], ['nonsense'], ['serve', '--nonsense']]) {
    const wrong = runMain(args, { DATABASE_URL: good.DATABASE_URL });
    expect(await wrong.ended).toBe(2);
    expect(wrong.output()).toMatch(/^usage: /m);
  }
});
