import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { PortSetting } from '../app/assert-ports-free.ts';
import { readConfigKeys } from '../config/config.ts';
import { anyText } from '../config/formats.ts';
import { DATABASE_KEYS } from '../config/groups/database.ts';
import { DEV_KEYS } from '../config/groups/dev.ts';
import { HTTP_KEYS } from '../config/groups/http.ts';
import { METRICS_KEYS } from '../config/groups/telemetry.ts';
import type { Environment } from '../config/key.ts';

/** The settings that `npm start` needs before it can read a configuration. */
export type DevSettings = {
  home: string;
  searchPath: string;
  port: number;
  mailboxPort: number;
  ports: PortSetting[];
  /** The variables that the developer has set. They override the generated settings. */
  given: Environment;
};

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
export const PROGRAM_CACHE = join(ROOT, 'node_modules/.cache/latchkey');

/** 127.0.0.1 and, where there is IPv6, ::1, which some clients try alone. */
export const DEV_HOST = 'localhost';

const { DATABASE_URL, MIGRATION_DATABASE_URL } = DATABASE_KEYS;
const KEYS = {
  ...{ ...DEV_KEYS, ...METRICS_KEYS, MIGRATION_DATABASE_URL },
  PORT: HTTP_KEYS.PORT,
  HOST: { ...HTTP_KEYS.HOST, default: DEV_HOST },
  // Without this key, `npm start` starts Postgres.
  DATABASE_URL: { format: DATABASE_URL.format, help: DATABASE_URL.help, usedBy: DATABASE_URL.usedBy },
  LATCHKEY_HOME: { ...DEV_KEYS.LATCHKEY_HOME, default: join(ROOT, '.latchkey/dev') },
  PATH: { format: anyText('a list of folders'), default: '', usedBy: ['dev'], help: 'The folders of programs.' },
} as const;

/** @throws ConfigError */
export function readDevSettings(environment: Environment): DevSettings {
  const { values, set: given } = readConfigKeys(KEYS, environment);
  const { LATCHKEY_HOME: home, PATH: searchPath, PORT, MAILBOX_PORT: mailboxPort, HOST, METRICS_PORT } = values;
  const ports: PortSetting[] = [
    { key: 'PORT', host: HOST, port: PORT },
    { key: 'METRICS_PORT', host: values.METRICS_HOST ?? HOST, port: METRICS_PORT ?? 0 },
    { key: 'MAILBOX_PORT', host: '127.0.0.1', port: given.SMTP_URL ? 0 : mailboxPort },
  ];
  return { home: resolve(home), searchPath, port: PORT, mailboxPort, ports, given };
}
