import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { ConfigError, type Environment, parseValues, readEnvironment } from '../config/config.ts';
import { databaseUrl, number } from '../config/values.ts';
import type { PortSetting } from '../process/assert-ports-free.ts';

/** What `npm start` needs to know before there is a configuration. */
export type DevSettings = {
  /** Where data and generated secrets are kept. */
  home: string;
  /** PATH, for the Redis that may be on it. */
  searchPath: string;
  /** Of the API. */
  port: number;
  /** Of the mailbox's page. */
  mailboxPort: number;
  /** The ports that must be free, as the user or a default has set them. */
  ports: PortSetting[];
  /** What the user has set besides; it stands over everything that is made here. */
  given: Environment;
};

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** Where programs that had to be downloaded are kept. */
export const PROGRAM_CACHE = join(ROOT, 'node_modules/.cache/latchkey');

/** Only this machine reaches what `npm start` starts. */
export const DEV_HOST = '127.0.0.1';

/** 0 for any free one. */
const port = number(0, 65_535);
const schema = z.object({
  LATCHKEY_HOME: z.string().default(join(ROOT, '.latchkey/dev')),
  PATH: z.string().default(''),
  PORT: port.default(8080),
  MAILBOX_PORT: port.default(8025),
  HOST: z.string().default(DEV_HOST),
  METRICS_PORT: port.optional(),
  METRICS_HOST: z.string().optional(),
  DATABASE_URL: databaseUrl.optional(),
  MIGRATION_DATABASE_URL: databaseUrl.optional(),
});

/** @throws ConfigError */
export function readDevSettings(environment: Environment): DevSettings {
  const { values: given, problems } = readEnvironment(environment);
  const parsed = parseValues(schema, given, problems);
  if (!parsed || problems.length > 0) throw new ConfigError(problems);
  const { LATCHKEY_HOME: home, PATH: searchPath, PORT, MAILBOX_PORT: mailboxPort, HOST, METRICS_PORT } = parsed;
  const ports: PortSetting[] = [
    { key: 'PORT', host: HOST, port: PORT },
    { key: 'METRICS_PORT', host: parsed.METRICS_HOST ?? HOST, port: METRICS_PORT ?? 0 },
    // With a server for mail of the user's own there is no mailbox.
    { key: 'MAILBOX_PORT', host: DEV_HOST, port: given.SMTP_URL ? 0 : mailboxPort },
  ];
  return { home: resolve(home), searchPath, port: PORT, mailboxPort, ports, given };
}
