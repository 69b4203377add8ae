// The one reader of the environment. Reports every bad key at once, and never a value. docs/reference/configuration.md has the table.
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { z } from 'zod';
import type { KeyRing } from '../domain/key-ring.ts';
import { type KeyPolicy, SIGNING_ALGORITHMS } from '../domain/key-schedule.ts';
import type { MailerSettings } from '../jobs/mailer.ts';
import { LIMITS, type Limit, type LimitName } from '../limits/limits.ts';
import type { ProviderSettings } from '../oauth/providers.ts';
import { OperatorError } from '../process/operator-error.ts';
import type { TlsOptions } from '../server/transport/tls.ts';
import type { TelemetryOptions } from '../telemetry/telemetry.ts';
import { LAST_TOKEN_MS, MAX_ACCESS_TTL_SECONDS } from '../verifier/access-token.ts';
import { CLEARTEXT_NAMES, cleartextProblems } from './cleartext.ts';
import { providerSecrets, readProviders } from './providers.ts';
import { readOtlpSettings } from './telemetry.ts';
import { readTlsSettings } from './tls.ts';
import {
  audiences,
  closedList,
  contextWords,
  databaseUrl,
  databaseUrlOr,
  folder,
  hasWeakPassword,
  heloName,
  heloNameOf,
  identities,
  itemsOf,
  limit,
  masterKey,
  masterKeys,
  networks,
  number,
  origins,
  redisUrl,
  sender,
  serviceKeys,
  smtpUrl,
  webUrl,
} from './values.ts';

/** Thrown with one line for each bad key. */
export class ConfigError extends OperatorError {
  readonly problems: string[];

  constructor(problems: string[]) {
    super(`bad configuration:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

export type Environment = Record<string, string | undefined>;
/** What is given in another form below. */
type Transformed =
  | 'ALLOW_CLEARTEXT'
  | 'DATABASE_LISTEN_URL'
  | 'GRPC_REFLECTION'
  | 'SHUTDOWN_DELAY_SECONDS'
  | 'MASTER_KEY'
  | 'MASTER_KEY_ACCEPTED'
  | 'SIGNING_ALGORITHM'
  | 'KEY_ROTATION_SECONDS'
  | 'KEY_PUBLISH_SECONDS';

export type Config = Omit<z.output<typeof schema>, Transformed> & {
  telemetry: TelemetryOptions;
  /** Where users may come from besides, by name. */
  providers: Map<string, ProviderSettings>;
  ISSUER: string;
  /** How mail is sent, by SMTP_URL, MAIL_FROM and SMTP_HELO_NAME. */
  mailer: MailerSettings;
  limits: Record<LimitName, Limit>;
  /** Null for cleartext. */
  tls: TlsOptions | null;
  /** Null: do not listen. */
  DATABASE_LISTEN_URL: string | null;
  /** Whether tools may ask which services there are, and what their messages look like. */
  GRPC_REFLECTION: boolean;
  /** How long calls are answered after the service has reported that it stops. */
  SHUTDOWN_DELAY_SECONDS: number;
  /** MASTER_KEY, and those that are accepted besides. */
  masterKeys: KeyRing;
  /** How signing keys come and go. */
  keyPolicy: KeyPolicy;
};
export type DatabaseConfig = z.output<typeof databaseSchema> & { MIGRATION_DATABASE_URL: string };

/** These may be given as a file instead: `<KEY>_FILE` holds its path. */
const SECRETS = [
  'MASTER_KEY',
  'MASTER_KEY_ACCEPTED',
  'SERVICE_KEYS',
  'DATABASE_URL',
  'DATABASE_LISTEN_URL',
  'MIGRATION_DATABASE_URL',
  'REDIS_URL',
  'SMTP_URL',
];
/** As DATABASE_LISTEN_URL: nothing listens, and the feed of changes is polled alone. */
const NO_LISTENING = 'none';
/** Load balancers that probe every second or two have noticed by then. */
const PRODUCTION_DELAY_SECONDS = 5;

const fields = {
  NODE_ENV: z.enum(['development', 'production', 'test']).default('development'),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  HOST: z.string().default('0.0.0.0'),
  PORT: number(0, 65_535).default(8080),
  METRICS_HOST: z.string().optional(),
  METRICS_PORT: number(0, 65_535).optional(),
  HEALTH_PORT: number(0, 65_535).optional(),
  PUBLIC_URL: webUrl,
  ISSUER: webUrl.optional(),
  AUDIENCE: audiences.prefault(''),

  DATABASE_URL: databaseUrl,
  MIGRATION_DATABASE_URL: databaseUrl.optional(),
  DATABASE_LISTEN_URL: databaseUrlOr(NO_LISTENING).optional(),
  DATABASE_POOL_SIZE: number(1, 1000).default(10),
  DATABASE_STATEMENT_TIMEOUT_MS: number(100, 60_000).default(5_000),
  REDIS_URL: redisUrl,
  SMTP_URL: smtpUrl,
  SMTP_HELO_NAME: heloName.optional(),
  ALLOW_CLEARTEXT: closedList(CLEARTEXT_NAMES).prefault(''),
  MAIL_FROM: sender,
  MAIL_RETRY_FOR_SECONDS: number(0, 30 * 86_400).default(3 * 86_400),
  JOB_BACKOFF_MS: number(1, 600_000).default(2_000),

  GRPC_REFLECTION: z.enum(['on', 'off']).optional(),

  MASTER_KEY: masterKey,
  MASTER_KEY_ACCEPTED: masterKeys.prefault(''),
  SIGNING_ALGORITHM: z.enum(SIGNING_ALGORITHMS).default('EdDSA'),
  // Whoever verifies knows each key for an hour after it has signed, so that they are not many.
  KEY_ROTATION_SECONDS: number(0, 10 * 366 * 86_400)
    .refine((seconds) => seconds === 0 || seconds >= 3_600, 'must be 0, or an hour (3600) and more')
    .default(30 * 86_400),
  KEY_PUBLISH_SECONDS: number(2, 30 * 86_400).default(3_600),
  SERVICE_KEYS: serviceKeys.prefault(''),

  ACCESS_TOKEN_TTL_SECONDS: number(30, MAX_ACCESS_TTL_SECONDS).default(900),
  SERVICE_TOKEN_TTL_SECONDS: number(30, MAX_ACCESS_TTL_SECONDS).default(300),
  API_KEY_MAX_DAYS: number(1, 3_660).default(366),
  SESSION_IDLE_SECONDS: number(60, 366 * 86_400).default(7 * 86_400),
  SESSION_MAX_SECONDS: number(60, 5 * 366 * 86_400).default(90 * 86_400),
  // As many as ListSessions has room for.
  MAX_SESSIONS_PER_USER: number(1, 100).default(100),
  VERIFY_REVALIDATE_SECONDS: number(0, 60).default(1),
  REVOCATION_POLL_MS: number(50, 5_000).default(500),
  REVOCATION_MAX_AGE_MS: number(100, 60_000).default(5_000),
  TOKEN_CACHE_MB: number(0, 65_536).default(64),
  RESET_TTL_SECONDS: number(60, 86_400).default(3_600),
  VERIFICATION_TTL_SECONDS: number(60, 7 * 86_400).default(3_600),
  AUDIT_ANCHOR_SECONDS: number(0, 86_400).default(3_600),
  AUDIT_ANCHOR_FILE: z.string().optional(),
  REQUIRE_EMAIL_VERIFICATION: z.enum(['on', 'off']).default('off'),
  REAUTHENTICATION_SECONDS: number(30, 86_400).default(600),

  PASSWORD_MIN_LENGTH: number(8, 15).default(8),
  PASSWORD_CONTEXT_WORDS: contextWords.prefault(''),
  PASSWORD_BREACH_RANGES: folder.optional(),
  ARGON2_MEMORY_KIB: number(8, 4 * 1024 * 1024).default(19_456),
  ARGON2_ITERATIONS: number(1, 100).default(2),
  ARGON2_PARALLELISM: number(1, 16).default(1),
  HASH_CONCURRENCY: number(1, 64).default(availableParallelism()),
  HASH_QUEUE_LENGTH: number(0, 100_000).default(200),
  HASH_QUEUE_WAIT_MS: number(1, 60_000).default(5_000),

  OAUTH_PROVIDERS: z.string().optional(),
  TLS_CERT_FILE: z.string().optional(),
  TLS_KEY_FILE: z.string().optional(),
  TLS_CLIENT_CA_FILE: z.string().optional(),
  TLS_CLIENT_AUTH: z.enum(['optional', 'required']).default('optional'),
  TLS_CLIENT_SERVICES: identities.prefault(''),
  CORS_ORIGINS: origins.prefault(''),
  TRUSTED_PROXIES: networks.prefault(''),
  PROXY_PROTOCOL: z.enum(['on', 'off']).default('off'),
  MAX_CONNECTIONS_PER_PEER: number(1, 1_000_000).default(1_000),
  MAX_CONNECTION_AGE_SECONDS: number(0, 86_400).default(0),
  MAX_CONNECTION_AGE_GRACE_SECONDS: number(1, 86_400).default(300),
  KEEPALIVE_SECONDS: number(1, 7_200).default(30),
  KEEPALIVE_TIMEOUT_SECONDS: number(1, 600).default(20),
  SHUTDOWN_DELAY_SECONDS: number(0, 300).optional(),
  SHUTDOWN_GRACE_SECONDS: number(0, 300).default(10),
};

const schema = z.object(fields);

/** The keys of commands that work on the database alone. */
const databaseSchema = schema.pick({
  NODE_ENV: true,
  LOG_LEVEL: true,
  API_KEY_MAX_DAYS: true,
  DATABASE_URL: true,
  MIGRATION_DATABASE_URL: true,
  ALLOW_CLEARTEXT: true,
});

const masterKeySchema = schema.pick({
  MASTER_KEY: true,
  MASTER_KEY_ACCEPTED: true,
});

/** @throws ConfigError */
export function readConfig(environment: Environment): Config {
  const { values, problems } = readEnvironment(environment);
  const parsed = parseValues(schema, values, problems);
  const limits = readLimits(values, problems);
  const otlp = readOtlpSettings(values, problems);
  const providers = readProviders(values, problems);
  const tls = parsed && readTlsSettings(parsed, problems);
  if (parsed) problems.push(...contradictions(parsed, values));
  if (!parsed || problems.length > 0) throw new ConfigError(problems);
  const { MASTER_KEY, MASTER_KEY_ACCEPTED, SIGNING_ALGORITHM: algorithm, ALLOW_CLEARTEXT, ...rest } = parsed;
  const isProduction = parsed.NODE_ENV === 'production';
  const isMailProtected = isProduction && !ALLOW_CLEARTEXT.includes('smtp');
  const { KEY_ROTATION_SECONDS: rotationSeconds, KEY_PUBLISH_SECONDS: publishSeconds, ...settings } = rest;
  const { METRICS_HOST: host = parsed.HOST, METRICS_PORT: port } = parsed;
  const telemetry = { ...otlp, prometheus: port === undefined ? null : { host, port } };
  const listenUrl = parsed.DATABASE_LISTEN_URL ?? parsed.DATABASE_URL;
  return {
    ...settings,
    masterKeys: [MASTER_KEY, ...MASTER_KEY_ACCEPTED],
    keyPolicy: {
      algorithm,
      rotateEveryMs: rotationSeconds * 1000,
      publishMs: publishSeconds * 1000,
      keepMs: LAST_TOKEN_MS,
    },
    ISSUER: parsed.ISSUER ?? parsed.PUBLIC_URL,
    mailer: {
      url: parsed.SMTP_URL,
      from: parsed.MAIL_FROM,
      security: isMailProtected ? 'required' : 'opportunistic',
      heloName: parsed.SMTP_HELO_NAME ?? heloNameOf(parsed.PUBLIC_URL),
    },
    DATABASE_LISTEN_URL: listenUrl === NO_LISTENING ? null : listenUrl,
    GRPC_REFLECTION: (parsed.GRPC_REFLECTION ?? (isProduction ? 'off' : 'on')) === 'on',
    SHUTDOWN_DELAY_SECONDS: parsed.SHUTDOWN_DELAY_SECONDS ?? (isProduction ? PRODUCTION_DELAY_SECONDS : 0),
    tls,
    limits,
    telemetry,
    providers,
  };
}

/** @throws ConfigError */
export function readDatabaseConfig(environment: Environment): DatabaseConfig {
  const { values, problems } = readEnvironment(environment);
  const parsed = parseValues(databaseSchema, values, problems);
  if (!parsed || problems.length > 0) throw new ConfigError(problems);
  return { ...parsed, MIGRATION_DATABASE_URL: parsed.MIGRATION_DATABASE_URL ?? parsed.DATABASE_URL };
}

/** What a command has to be told that changes signing keys. @throws ConfigError */
export function readMasterKeys(environment: Environment): KeyRing {
  const { values, problems } = readEnvironment(environment);
  const parsed = parseValues(masterKeySchema, values, problems);
  if (!parsed || problems.length > 0) throw new ConfigError(problems);
  return [parsed.MASTER_KEY, ...parsed.MASTER_KEY_ACCEPTED];
}

/** Null when anything is bad; what it is has been added to the problems. */
export function parseValues<T>(as: z.ZodType<T>, values: Environment, problems: string[]): T | null {
  const parsed = as.safeParse(values);
  for (const issue of parsed.error?.issues ?? []) {
    const key = String(issue.path[0]);
    problems.push(`${key} ${values[key] === undefined ? 'is missing' : lowerFirst(issue.message)}`);
  }
  return parsed.success ? parsed.data : null;
}

/** The environment of this process. */
export function processEnvironment(): Environment {
  return process.env;
}

/**
 * The values that are set, with secrets read from their files. An empty value is what orchestrators give for one that is
 * not set.
 */
export function readEnvironment(environment: Environment): { values: Environment; problems: string[] } {
  const problems: string[] = [];
  const values = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''));
  for (const key of [...SECRETS, ...providerSecrets(values)]) {
    const file = values[`${key}_FILE`];
    if (file === undefined) continue;
    if (values[key] !== undefined) problems.push(`${key} and ${key}_FILE are both set: which one counts?`);
    try {
      delete values[`${key}_FILE`];
      values[key] = readFileSync(file, 'utf8').trim();
    } catch (error) {
      problems.push(`${key}_FILE cannot be read (${(error as NodeJS.ErrnoException).code})`);
    }
  }
  if (values.NODE_ENV === 'production') {
    problems.push(...weakPasswords(values), ...cleartextProblems(values, itemsOf(values.ALLOW_CLEARTEXT ?? '')));
  }
  return { values, problems };
}

function weakPasswords(values: Environment): string[] {
  return SECRETS.filter((key) => key.endsWith('_URL') && hasWeakPassword(values[key] ?? '')).map(
    (key) => `${key} has a password that is short or a sample`,
  );
}

function readLimits(values: Environment, problems: string[]): Record<LimitName, Limit> {
  const limits: Record<LimitName, Limit> = { ...LIMITS };
  for (const name of Object.keys(LIMITS) as LimitName[]) {
    const text = values[`LIMIT_${name}`];
    if (text === undefined) continue;
    const parsed = limit.safeParse(text);
    if (parsed.success) limits[name] = parsed.data;
    else problems.push(`LIMIT_${name} ${parsed.error.issues[0]?.message}`);
  }
  return limits;
}

/** What each of two keys means nothing, or something else, without. */
function contradictions(parsed: z.output<typeof schema>, values: Environment): string[] {
  const found: string[] = [];
  if (parsed.PROXY_PROTOCOL === 'on' && values.TRUSTED_PROXIES === undefined) {
    found.push('PROXY_PROTOCOL=on needs TRUSTED_PROXIES: from nobody else is a header believed');
  }
  if (parsed.METRICS_PORT !== undefined && values.OTEL_SDK_DISABLED?.toLowerCase() === 'true') {
    found.push('METRICS_PORT and OTEL_SDK_DISABLED=true contradict each other');
  }
  // Whoever knows no key by then asks before they say no.
  if (parsed.KEY_PUBLISH_SECONDS * 1000 < 2 * parsed.REVOCATION_MAX_AGE_MS) {
    found.push('KEY_PUBLISH_SECONDS must be at least twice REVOCATION_MAX_AGE_MS');
  }
  if (parsed.METRICS_HOST !== undefined && parsed.METRICS_PORT === undefined) {
    found.push('METRICS_HOST means nothing without METRICS_PORT');
  }
  return found;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
