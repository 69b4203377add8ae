// Turns the environment into settings, grouped by the part of the service that takes them. Reports every invalid key at
// once.
import type { BrowserSessions } from '../domain/browser-sessions.ts';
import type { KeyRing } from '../domain/key-ring.ts';
import type { RelyingParty } from '../factors/ceremony.ts';
import type { ProviderSettings } from '../oauth/providers.ts';
import { OperatorError } from '../process/operator-error.ts';
import type { TelemetryOptions } from '../telemetry/options.ts';
import { CONFIGURATION, SETTINGS } from './configuration.ts';
import { readEnvironment } from './environment.ts';
import { type AuditSettings, auditSettings } from './groups/audit.ts';
import { browserSessionSettings } from './groups/browser-sessions.ts';
import { COMMAND_KEYS } from './groups/commands.ts';
import { DATABASE_KEYS, type DatabaseSettings, databaseSettings } from './groups/database.ts';
import { relyingParty } from './groups/factors.ts';
import { type HttpSettings, httpSettings } from './groups/http.ts';
import { type KeySettings, keySettings, MASTER_KEY_KEYS, masterKeyRing } from './groups/keys.ts';
import { LIMIT_KEYS, type LimitSettings, readLimits } from './groups/limits.ts';
import { type MailSettings, mailSettings } from './groups/mail.ts';
import { type PasswordSettings, passwordSettings } from './groups/passwords.ts';
import { PROCESS_KEYS, type ProcessSettings, processSettings } from './groups/process.ts';
import { readProviders } from './groups/providers.ts';
import { readOtlpSettings, telemetrySettings } from './groups/telemetry.ts';
import {
  type AccountSettings,
  API_KEY_MAX_DAYS,
  accountSettings,
  type TokenSettings,
  tokenSettings,
  type VerifierSettings,
  verifierSettings,
} from './groups/tokens.ts';
import { type Environment, type Keys, parseKeys, type Values } from './key.ts';
import { unknownVariables } from './unknown-variables.ts';

export type { Environment };

const NAMES = CONFIGURATION.map(({ name }) => name);

export type Config = {
  process: ProcessSettings;
  http: HttpSettings;
  database: DatabaseSettings;
  redisUrl: string;
  mail: MailSettings;
  keys: KeySettings;
  tokens: TokenSettings;
  /** Null when cookies of browsers are off. */
  browserSessions: BrowserSessions | null;
  accounts: AccountSettings;
  relyingParty: RelyingParty;
  verifier: VerifierSettings;
  passwords: PasswordSettings;
  audit: AuditSettings;
  telemetry: TelemetryOptions;
  providers: Map<string, ProviderSettings>;
  limits: LimitSettings;
};

export type DatabaseConfig = Pick<ProcessSettings, 'logLevel'> &
  Pick<DatabaseSettings, 'url' | 'ownerUrl'> &
  Pick<AccountSettings, 'apiKeyMaxDays'> & {
    /** The name that the environment gives to the person at the command line. */
    operator: string | undefined;
  };

export class ConfigError extends OperatorError {
  readonly problems: string[];

  constructor(problems: string[]) {
    super(`invalid configuration:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

export function processEnvironment(): Environment {
  return process.env;
}

/** @throws ConfigError */
export function readConfig(environment: Environment): Config {
  const { values, problems } = readEnvironment(environment);
  problems.push(...unknownVariables(values, NAMES));
  const parsed = parseKeys(SETTINGS, values, problems);
  const limits = readLimits(values, problems);
  const otlp = readOtlpSettings(values, problems);
  const providers = readProviders(values, problems);
  const groups = parsed && groupSettings(parsed, values, otlp, problems);
  if (!groups || problems.length > 0) throw new ConfigError(problems);
  return { ...groups, limits, providers };
}

/** @throws ConfigError */
export function readDatabaseConfig(environment: Environment): DatabaseConfig {
  const { NODE_ENV, ALLOW_CLEARTEXT, LOG_LEVEL } = PROCESS_KEYS;
  const { DATABASE_URL, MIGRATION_DATABASE_URL } = DATABASE_KEYS;
  const keys = { NODE_ENV, ALLOW_CLEARTEXT, LOG_LEVEL, API_KEY_MAX_DAYS, DATABASE_URL, MIGRATION_DATABASE_URL };
  const { values } = readConfigKeys({ ...keys, ...COMMAND_KEYS }, environment);
  return {
    logLevel: values.LOG_LEVEL,
    url: values.DATABASE_URL,
    ownerUrl: values.MIGRATION_DATABASE_URL ?? values.DATABASE_URL,
    apiKeyMaxDays: values.API_KEY_MAX_DAYS,
    operator: values.OPERATOR,
  };
}

/** @throws ConfigError */
export function readMasterKeys(environment: Environment): KeyRing {
  return masterKeyRing(readConfigKeys(MASTER_KEY_KEYS, environment).values);
}

export type LimitAccess = Pick<Config, 'redisUrl' | 'limits'> & Pick<KeySettings, 'masterKeys'>;

/** For commands that read and clear counts. @throws ConfigError */
export function readLimitAccess(environment: Environment): LimitAccess {
  const { NODE_ENV, ALLOW_CLEARTEXT } = PROCESS_KEYS;
  const { REDIS_URL } = DATABASE_KEYS;
  const keys = { NODE_ENV, ALLOW_CLEARTEXT, REDIS_URL, ...MASTER_KEY_KEYS };
  const { values, problems } = readEnvironment(environment);
  problems.push(...unknownVariables(values, [...Object.keys(keys), ...Object.keys(LIMIT_KEYS)]));
  const parsed = parseKeys(keys, values, problems);
  const limits = readLimits(values, problems);
  if (!parsed || problems.length > 0) throw new ConfigError(problems);
  return { redisUrl: parsed.REDIS_URL, limits, masterKeys: masterKeyRing(parsed) };
}

/** @returns the values of these keys, and every variable that is set @throws ConfigError */
export function readConfigKeys<K extends Keys>(
  keys: K,
  environment: Environment,
): { values: Values<K>; set: Environment } {
  const { values, problems } = readEnvironment(environment);
  problems.push(...unknownVariables(values, Object.keys(keys)));
  const parsed = parseKeys(keys, values, problems);
  if (!parsed || problems.length > 0) throw new ConfigError(problems);
  return { values: parsed, set: values };
}

function groupSettings(
  parsed: Values<typeof SETTINGS>,
  environment: Environment,
  otlp: Omit<TelemetryOptions, 'prometheus'>,
  problems: string[],
): Omit<Config, 'limits' | 'providers'> {
  const processGroup = processSettings(parsed);
  const http = httpSettings(parsed, { isProduction: processGroup.environment === 'production', environment }, problems);
  const keys = keySettings(parsed);
  return {
    process: processGroup,
    http,
    database: databaseSettings(parsed),
    redisUrl: parsed.REDIS_URL,
    mail: mailSettings(parsed, processGroup),
    keys,
    tokens: tokenSettings(parsed, parsed.PUBLIC_URL),
    browserSessions: browserSessionSettings(parsed),
    accounts: accountSettings(parsed),
    relyingParty: relyingParty(parsed, parsed.PUBLIC_URL, problems),
    verifier: verifierSettings(parsed, keys, problems),
    passwords: passwordSettings(parsed),
    audit: auditSettings(parsed),
    telemetry: telemetrySettings(parsed, { otlp, host: http.host, environment }, problems),
  };
}
