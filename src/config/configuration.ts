// Every configuration key as data: docs/reference/configuration.md is generated from it.
import { AUDIT_KEYS } from './groups/audit.ts';
import { BROWSER_SESSION_KEYS } from './groups/browser-sessions.ts';
import { COMMAND_KEYS } from './groups/commands.ts';
import { DATABASE_KEYS } from './groups/database.ts';
import { DEV_KEYS } from './groups/dev.ts';
import { FACTOR_KEYS } from './groups/factors.ts';
import { HTTP_KEYS } from './groups/http.ts';
import { MASTER_KEY_KEYS, SIGNING_KEY_KEYS } from './groups/keys.ts';
import { LIMIT_KEYS } from './groups/limits.ts';
import { MAIL_KEYS } from './groups/mail.ts';
import { PASSWORD_KEYS } from './groups/passwords.ts';
import { PROCESS_KEYS } from './groups/process.ts';
import { PROVIDER_KEYS, PROVIDER_LIST_KEYS } from './groups/providers.ts';
import { METRICS_KEYS, OTEL_KEYS } from './groups/telemetry.ts';
import { TOKEN_KEYS } from './groups/tokens.ts';
import type { Key, Keys, Process } from './key.ts';

export const SETTINGS = {
  ...PROCESS_KEYS,
  ...HTTP_KEYS,
  ...DATABASE_KEYS,
  ...MAIL_KEYS,
  ...MASTER_KEY_KEYS,
  ...SIGNING_KEY_KEYS,
  ...TOKEN_KEYS,
  ...BROWSER_SESSION_KEYS,
  ...PASSWORD_KEYS,
  ...FACTOR_KEYS,
  ...AUDIT_KEYS,
  ...METRICS_KEYS,
} as const satisfies Keys;

const GROUPS: { group: string; keys: Keys }[] = [
  { group: 'Process', keys: PROCESS_KEYS },
  { group: 'Connections of clients', keys: HTTP_KEYS },
  { group: 'Postgres and Redis', keys: DATABASE_KEYS },
  { group: 'E-mail', keys: MAIL_KEYS },
  { group: 'Keys', keys: { ...MASTER_KEY_KEYS, ...SIGNING_KEY_KEYS } },
  { group: 'Tokens, sessions and accounts', keys: TOKEN_KEYS },
  { group: 'Browser sessions', keys: BROWSER_SESSION_KEYS },
  { group: 'Passwords', keys: PASSWORD_KEYS },
  { group: 'Second factors', keys: FACTOR_KEYS },
  { group: 'Audit trail', keys: AUDIT_KEYS },
  { group: 'Identity providers', keys: { ...PROVIDER_LIST_KEYS, ...prefixed('OAUTH_<NAME>_', PROVIDER_KEYS) } },
  { group: 'Telemetry', keys: { ...METRICS_KEYS, ...OTEL_KEYS } },
  { group: 'Rate limits', keys: LIMIT_KEYS },
  { group: 'Commands for operators', keys: COMMAND_KEYS },
  { group: 'Development', keys: DEV_KEYS },
];

/** By the names of CONFIGURATION. */
export const KEYS_BY_NAME: ReadonlyMap<string, Key> = new Map(GROUPS.flatMap(({ keys }) => Object.entries(keys)));

type ConfigurationKey = {
  group: string;
  /** Contains `<NAME>` for the name of an identity provider in upper case. */
  name: string;
  format: string;
  unit: string | null;
  /** A value or a description. Null: the key is required, or the feature is off without it. */
  default: string | null;
  isRequired: boolean;
  isSecret: boolean;
  usedBy: readonly Process[];
  help: string;
};

export const CONFIGURATION: ConfigurationKey[] = GROUPS.flatMap(({ group, keys }) =>
  Object.entries(keys).map(([name, key]) => describeKey(group, name, key)),
);

function describeKey(group: string, name: string, key: Key): ConfigurationKey {
  return {
    group,
    name,
    format: key.format.text,
    unit: key.format.unit ?? null,
    default: key.defaultText ?? (key.default || null),
    isRequired: key.isRequired === true,
    isSecret: key.isSecret === true,
    usedBy: key.usedBy,
    help: key.help,
  };
}

function prefixed(prefix: string, keys: Keys): Keys {
  return Object.fromEntries(Object.entries(keys).map(([name, key]) => [`${prefix}${name}`, key]));
}
