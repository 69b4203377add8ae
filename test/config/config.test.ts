import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ConfigError, type Environment, readConfig, readDatabaseConfig } from '../../src/config/config.ts';
import { CONFIGURATION } from '../../src/config/configuration.ts';
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

test('the reference page has each key', async () => {
  const { readFile } = await import('node:fs/promises');
  const page = await readFile('docs/reference/configuration.md', 'utf8');
  const isSingle = ({ name }: { name: string }) => !/^(LIMIT|OAUTH|OTEL|LATCHKEY)_|^MAILBOX_PORT$/.test(name);
  for (const { name } of CONFIGURATION.filter(isSingle)) expect(page, name).toContain(`\`${name}\``);
});

test('the defaults are the documented ones', () => {
  const lifetime = { maxAgeMs: 0, graceMs: 300_000, pingEveryMs: 30_000, pingTimeoutMs: 20_000 };
  expect(readConfig(good)).toMatchObject({
    process: { environment: 'development', logLevel: 'info', shutdownDelayMs: 0, shutdownGraceMs: 10_000 },
    http: {
      host: expect.stringMatching(/^(::|0\.0\.0\.0)$/),
      port: 8080,
      listenAdmin: null,
      healthPort: null,
      tls: null,
      hasPublicReflection: true,
      lifetime,
    },
    database: { ownerUrl: good.DATABASE_URL, listenUrl: good.DATABASE_URL, poolSize: 10, statementTimeoutMs: 5_000 },
    mail: {
      ...{ publicUrl: 'https://product.example', retryForMs: 259_200_000, backoffMs: 2_000 },
      ...{ resetTtlSeconds: 3_600, verificationTtlSeconds: 3_600 },
    },
    keys: {
      masterKeys: [key],
      policy: { algorithm: 'ES256', rotateEveryMs: 30 * 86_400_000, publishMs: 3_600_000 },
      serviceKeys: new Map(),
    },
    tokens: {
      ...{ issuer: 'https://product.example', audiences: ['latchkey'], accessTtlSeconds: 900 },
      ...{ serviceTokenTtlSeconds: 300, sessionIdleSeconds: 604_800, sessionMaxSeconds: 7_776_000 },
      maxSessionsPerUser: 100,
    },
    accounts: { requiresVerifiedEmail: false, reauthenticationSeconds: 600, apiKeyMaxDays: 366 },
    verifier: { revalidateSeconds: 1, pollMs: 500, maxViewAgeMs: 5_000, cacheBytes: 64 * 1024 * 1024 },
    passwords: {
      ...{ minLength: 8, contextWords: [], breachFolder: null },
      argon2: { memoryKib: 19_456, iterations: 2, parallelism: 1 },
      hashQueue: { concurrency: availableParallelism(), maxWaiting: 200, maxWaitMs: 5_000 },
    },
    audit: { anchorEveryMs: 3_600_000, anchorFile: null },
    telemetry: { prometheus: null, otlpMetrics: null, traces: false },
    limits: { LOGIN_ACCOUNT: { points: 5, windowSeconds: 900 } },
  });
});

describe('CONFIGURATION', () => {
  const isFixed = ({ name }: { name: string }) => !name.includes('<');

  test('has one plain sentence, a format and a process for each key', () => {
    for (const { name, help, format, usedBy } of CONFIGURATION) {
      expect(help, name).toMatch(/^[A-Z].*[^.]\.$/);
      expect(format, name).toMatch(/\S/);
      expect(usedBy.length, name).toBeGreaterThan(0);
    }
  });

  test('has the required keys that the reader requires', () => {
    const required = CONFIGURATION.filter(isFixed).filter(({ isRequired }) => isRequired);
    expect(problemsOf({}).toSorted()).toEqual(required.map(({ name }) => `${name} is missing`).toSorted());
  });

  test('has defaults that the reader accepts as they are', () => {
    const environment = { ...good };
    for (const { name, default: text } of CONFIGURATION.filter(isFixed)) {
      if (text !== null && !/[ A-Z]{2}|^\.latchkey| /.test(text)) environment[name] ??= text;
    }
    expect(Object.keys(environment).length).toBeGreaterThan(60);
    expect(readConfig(environment)).toEqual(readConfig(good));
    expect(Object.keys(readConfig(good).limits)).toEqual(Object.keys(LIMITS));
  });

  test('names the secrets that a file can hold', () => {
    const secrets = CONFIGURATION.filter(({ isSecret }) => isSecret).map(({ name }) => name);
    expect(secrets.toSorted()).toEqual([
      ...['DATABASE_LISTEN_URL', 'DATABASE_URL', 'MASTER_KEY', 'MASTER_KEY_ACCEPTED', 'MIGRATION_DATABASE_URL'],
      ...['OAUTH_<NAME>_CLIENT_SECRET', 'REDIS_URL', 'SERVICE_KEYS', 'SMTP_URL'],
    ]);
  });
});

describe('an unknown variable', () => {
  const google = {
    ...{ OAUTH_PROVIDERS: 'google', OAUTH_GOOGLE_CLIENT_ID: 'a', OAUTH_GOOGLE_CLIENT_SECRET: 'b' },
    OAUTH_GOOGLE_REDIRECT_URIS: 'https://app.example/google',
  };

  test.each<[string, string, Environment?]>([
    ['LIMIT_LOGIN_ACOUNT', 'did you mean LIMIT_LOGIN_ACCOUNT?'],
    ['LIMIT_NONSENSE', 'no limit has this name'],
    ['LIMIT_LOGIN_ACCOUNT_FILE', 'no limit has this name'],
    ['METRIC_PORT', 'did you mean METRICS_PORT?'],
    ['LOG_LEVLE', 'did you mean LOG_LEVEL?'],
    ['LOGLEVEL', 'did you mean LOG_LEVEL?'],
    ['TRUSTED_PROXYS', 'did you mean TRUSTED_PROXIES?'],
    ['ISUER', 'did you mean ISSUER?'],
    ['ACCESS_TOKEN_TTL', 'did you mean ACCESS_TOKEN_TTL_SECONDS?'],
    ['SESSION_IDLE_MINUTES', 'did you mean SESSION_IDLE_SECONDS?'],
    ['REVOCATION_POLL_SECONDS', 'did you mean REVOCATION_POLL_MS?'],
    ['OAUTH_PROVIDER', 'did you mean OAUTH_PROVIDERS?'],
    ['OAUTH_GOOGLE_CLIENTID', 'did you mean OAUTH_GOOGLE_CLIENT_ID?', google],
    ['OAUTH_GOOGLE_HOSTED_DOMAIN', 'providers have no such key', google],
  ])('%s is an error: %s', (name, remedy, more: Environment = {}) => {
    expect(problemsOf({ ...good, ...more, [name]: '5/900' })).toEqual([`${name} is unknown: ${remedy}`]);
  });

  test('that resembles a required key is reported beside the key that is missing', () => {
    const { REDIS_URL, ...rest } = good;
    expect(problemsOf({ ...rest, REDIS_URI: REDIS_URL })).toEqual([
      'REDIS_URI is unknown: did you mean REDIS_URL?',
      'REDIS_URL is missing',
    ]);
  });

  test('is an error for a database command when it resembles a key of that command', () => {
    const { DATABASE_URL } = good;
    const read = (name: string) => () => readDatabaseConfig({ DATABASE_URL, [name]: DATABASE_URL });
    expect(read('MIGRATION_DATABSE_URL')).toThrow('did you mean MIGRATION_DATABASE_URL?');
    expect(read('LIMIT_NONSENSE')).not.toThrow();
    expect(read('METRIC_PORT')).not.toThrow();
  });

  test('with the path of a file is an error for a key that is no secret', () => {
    expect(problemsOf({ ...good, CORS_ORIGINS_FILE: '/run/origins' })).toEqual([
      'CORS_ORIGINS_FILE has no effect: only secrets are read from files; set CORS_ORIGINS',
    ]);
  });

  // Variables of shells, base images, orchestrators and other software that share a container with Latchkey.
  test.each([
    ...[
      'HOSTNAME',
      'HOME',
      'PATH',
      'LANG',
      'TERM',
      'PWD',
      'TZ',
      'USER',
      'SHLVL',
      'HOSTS',
      'PORTS',
      '_',
      'npm_config_x',
    ],
    ...['NODE_VERSION', 'NODE_OPTIONS', 'NODE_EXTRA_CA_CERTS', 'YARN_VERSION', 'SSL_CERT_FILE', 'SSL_CERT_DIR'],
    ...['DATABASE_NAME', 'DATABASE_USER', 'DATABASE_HOST', 'DATABASE_PASSWORD', 'DATABASE_URI', 'PGHOST', 'PGPASSWORD'],
    ...[
      'REDIS_HOST',
      'REDIS_PORT',
      'REDIS_URI',
      'REDIS_TLS_URL',
      'SMTP_HOST',
      'SMTP_USER',
      'SMTP_PASSWORD',
      'MAIL_FROM_NAME',
    ],
    ...['OTEL_SERVICE_NAME', 'OTEL_RESOURCE_ATTRIBUTES', 'OTEL_TRACES_SAMPLER', 'OTEL_EXPORTER_OTLP_TRACES_PROTOCOL'],
    ...['OAUTH_CLIENT_ID', 'OAUTH_OTHER_CLIENT_SECRET', 'JWT_SECRET', 'SESSION_SECRET', 'MASTER_PASSWORD', 'LIMITS'],
    ...[
      'LATCHKEY_SERVICE_HOST',
      'LATCHKEY_SERVICE_PORT_GRPC',
      'LATCHKEY_PORT_8080_TCP_ADDR',
      'KUBERNETES_PORT_443_TCP',
    ],
    ...[
      'LOG_FORMAT',
      'LOG_FILE',
      'KEEPALIVE',
      'HTTP_PROXY',
      'NO_PROXY',
      'AWS_REGION',
      'METRICS_PATH',
      'METRICS_ENABLED',
    ],
  ])('%s is ignored', (name) => {
    expect(problemsOf({ ...good, [name]: 'x' })).toEqual([]);
  });

  test('that Kubernetes adds for a Service is ignored', () => {
    expect(problemsOf({ ...good, METRIC_PORT: 'tcp://10.96.0.1:9464' })).toEqual([]);
  });
});

test('AUDIENCE lists the audiences of the deployment, and Latchkey’s own is always among them', () => {
  const audiences = (AUDIENCE: string) => readConfig({ ...good, AUDIENCE }).tokens.audiences;
  expect(audiences('shop, https://api.example/v1,shop')).toEqual(['shop', 'https://api.example/v1', 'latchkey']);
  expect(audiences('latchkey,shop')).toEqual(['latchkey', 'shop']);
  expect(audiences('')).toEqual(['latchkey']);
  for (const bad of ['two words', 'münchen', 'https://api.example#x', 'x'.repeat(501)]) {
    expect(problemsOf({ ...good, AUDIENCE: bad })).toEqual([expect.stringMatching(/^AUDIENCE must be names, or URIs/)]);
  }
});

test('the words and the folder for checks of new passwords are validated', () => {
  expect(readConfig(good)).toMatchObject({ passwords: { contextWords: [] } });
  expect(readConfig({ ...good, PASSWORD_CONTEXT_WORDS: 'acme, rocket skates ,' })).toMatchObject({
    passwords: { contextWords: ['acme', 'rocket skates'] },
  });
  expect(problemsOf({ ...good, PASSWORD_CONTEXT_WORDS: 'acme,abc' })).toEqual([
    'PASSWORD_CONTEXT_WORDS must be words of 4 to 100 characters, separated by commas',
  ]);
  expect(readConfig({ ...good, PASSWORD_BREACH_RANGES: tmpdir() })).toMatchObject({
    passwords: { breachFolder: tmpdir() },
  });
  for (const path of [join(tmpdir(), 'there', 'is none'), import.meta.filename]) {
    expect(problemsOf({ ...good, PASSWORD_BREACH_RANGES: path })).toEqual([
      'PASSWORD_BREACH_RANGES must be a folder that exists',
    ]);
  }
});

test('every invalid key is reported at once, without its value', () => {
  const problems = problemsOf({
    ...good,
    PORT: 'eighty',
    MAIL_FROM: 'no-domain',
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
    expect(readConfig({ ...good, MAIL_FROM }).mail.mailer.from).toEqual(from);
  });

  test.each([
    'no-domain',
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
    expect(readConfig({ ...good, PUBLIC_URL }).mail.mailer.heloName).toBe(name);
    const SMTP_HELO_NAME = 'mail.product.example';
    expect(readConfig({ ...good, PUBLIC_URL, SMTP_HELO_NAME }).mail.mailer.heloName).toBe(SMTP_HELO_NAME);
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
])('%s is rejected when its password is not percent-encoded, without repeating it', (key, url) => {
  const problems = problemsOf({ ...good, [key]: url });
  expect(problems).toEqual([expect.stringMatching(new RegExp(`^${key} has a character .*percent-encode it`))]);
  expect(problems[0]).not.toContain('hunter');
});

test('DATABASE_LISTEN_URL can be `none`', () => {
  expect(readConfig({ ...good, DATABASE_LISTEN_URL: 'none' }).database.listenUrl).toBeNull();
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
  ])('%s is rejected', (_, value) => {
    expect(problemsOf({ ...good, MASTER_KEY: value })).toHaveLength(1);
  });

  test.each(['base64', 'base64url', 'hex'] as const)('is accepted in %s', (encoding) => {
    expect(readConfig({ ...good, MASTER_KEY: key.toString(encoding) }).keys.masterKeys).toEqual([key]);
  });

  test('that is random is never mistaken for a sample', () => {
    for (let n = 0; n < 2_000; n += 1) {
      expect(problemsOf({ ...good, MASTER_KEY: randomBytes(32).toString('base64') })).toEqual([]);
    }
  });
});

describe('the schedule of signing keys', () => {
  const [one, two] = [randomBytes(32), randomBytes(32)];

  test('accepts other master keys besides, also from a file', () => {
    const accepted = `${one.toString('base64')}, ${two.toString('hex')}`;
    expect(readConfig({ ...good, MASTER_KEY_ACCEPTED: accepted }).keys.masterKeys).toEqual([key, one, two]);
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
    ['PUBLIC_URL', 'https://product.example/?x', 'PUBLIC_URL must have no user, query or fragment'],
    ['ISSUER', 'https://product.example#x', 'ISSUER must have no user, query or fragment'],
    ['ISSUER', 'https://ada@product.example', 'ISSUER must have no user, query or fragment'],
    ['SIGNING_ALGORITHM', 'HS256', 'SIGNING_ALGORITHM '],
    ['SIGNING_ALGORITHM', 'none', 'SIGNING_ALGORITHM '],
  ])('rejects %s=%s', (name, value, why) => {
    expect(problemsOf({ ...good, [name]: value })[0]).toContain(why);
  });

  test('can turn off automatic rotation', () => {
    expect(readConfig({ ...good, KEY_ROTATION_SECONDS: '0' }).keys.policy.rotateEveryMs).toBe(0);
  });
});

test('the delay of a stop is 5 seconds in production, unless it is set', () => {
  const production = { ...good, NODE_ENV: 'production', ALLOW_CLEARTEXT: 'postgres, redis' };
  const delayOf = (environment: Environment) => readConfig(environment).process.shutdownDelayMs;
  expect(delayOf(production)).toBe(5_000);
  expect(delayOf({ ...production, SHUTDOWN_DELAY_SECONDS: '0' })).toBe(0);
  expect(delayOf({ ...good, SHUTDOWN_DELAY_SECONDS: '300' })).toBe(300_000);
  expect(problemsOf({ ...good, SHUTDOWN_DELAY_SECONDS: '301' })[0]).toMatch(/^SHUTDOWN_DELAY_SECONDS /);
});

test('production rejects sample passwords in URLs as well', () => {
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
  ['postgres://me:long-and-random-1@a,b/latchkey?target_session_attrs=any', /must select the primary/],
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
    expect(readConfig({ ...rest, MASTER_KEY_FILE: file }).keys.masterKeys).toEqual([key]);
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
  const keysOf = (text: string) => [...readConfig({ ...good, SERVICE_KEYS: text }).keys.serviceKeys];
  expect(keysOf(`gateway=${one}, billing=${one}x`)).toEqual([
    ['gateway', [one]],
    ['billing', [`${one}x`]],
  ]);
  expect(keysOf(`gateway=${one},gateway=${one}x`)).toEqual([['gateway', [one, `${one}x`]]]);
  const three = `a=${one},a=${one}x,a=${one}y`;
  for (const bad of ['nokey', `Gateway=${one}`, `a=${one},a=${one}`, `a=${one},b=${one}`, three, 'a=short']) {
    expect(problemsOf({ ...good, SERVICE_KEYS: bad }), bad).toHaveLength(1);
  }
});

test('limits are set by name', () => {
  expect(readConfig({ ...good, LIMIT_LOGIN_ACCOUNT: '10/60' }).limits.LOGIN_ACCOUNT).toEqual({
    points: 10,
    windowSeconds: 60,
  });
});

test('metrics and traces are sent to the endpoints of OpenTelemetry’s variables, and nowhere by default', () => {
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
])('%s is rejected without, or beside, the key that it depends on', (key, more) => {
  expect(problemsOf({ ...good, ...more })).toEqual([expect.stringContaining(key)]);
});

test('providers have names, and each missing setting is reported', () => {
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

test('a command that needs only the database requires only DATABASE_URL', () => {
  expect(readDatabaseConfig({ DATABASE_URL: good.DATABASE_URL })).toMatchObject({
    url: good.DATABASE_URL,
    ownerUrl: good.DATABASE_URL,
  });
});

test('the command line prints the problem and exits with 1, or with 2 for a usage error', async () => {
  const unconfigured = runMain(['serve'], {});
  expect(await unconfigured.ended).toBe(1);
  expect(unconfigured.output()).toMatch(/^invalid configuration:\n( {2}\w+ is missing\n)+$/);
  for (const args of [[], ['nonsense'], ['serve', '--nonsense']]) {
    const wrong = runMain(args, { DATABASE_URL: good.DATABASE_URL });
    expect(await wrong.ended).toBe(2);
    expect(wrong.output()).toMatch(/^usage: /m);
  }
});

test.each([
  ['8081', { host: '10.0.0.1', port: 8081 }],
  [':8081', { host: '10.0.0.1', port: 8081 }],
  ['localhost:0', { host: 'localhost', port: 0 }],
  ['[::1]:8081', { host: '::1', port: 8081 }],
])('LISTEN_ADMIN=%s is an address and a port', (text, listenAdmin) => {
  expect(readConfig({ ...good, HOST: '10.0.0.1', LISTEN_ADMIN: text }).http).toMatchObject({ listenAdmin });
});

test.each(['65536', '::1:8081', '[10.0.0.1]:80', 'http://x:80', 'x', '8081 '])('LISTEN_ADMIN=%s is invalid', (text) => {
  expect(problemsOf({ ...good, LISTEN_ADMIN: text })).toEqual([expect.stringContaining('LISTEN_ADMIN must be')]);
});
