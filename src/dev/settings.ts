import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { ConfigError, type Environment, parseValues, readEnvironment } from '../config.ts';
import { databaseUrl, number } from '../config-values.ts';

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
  /** What the user has set besides; it stands over everything that is made here. */
  given: Environment;
};

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** Where programs that had to be downloaded are kept. */
export const PROGRAM_CACHE = join(ROOT, 'node_modules/.cache/latchkey');

/** 0 for any free one. */
const port = number(0, 65_535);
const schema = z.object({
  LATCHKEY_HOME: z.string().default(join(ROOT, '.latchkey/dev')),
  PATH: z.string().default(''),
  PORT: port.default(8080),
  MAILBOX_PORT: port.default(8025),
  DATABASE_URL: databaseUrl.optional(),
  MIGRATION_DATABASE_URL: databaseUrl.optional(),
});

/** @throws ConfigError */
export function readDevSettings(environment: Environment): DevSettings {
  const { values: given, problems } = readEnvironment(environment);
  const parsed = parseValues(schema, given, problems);
  if (!parsed || problems.length > 0) throw new ConfigError(problems);
  const { LATCHKEY_HOME: home, PATH: searchPath, PORT, MAILBOX_PORT: mailboxPort } = parsed;
  return { home: resolve(home), searchPath, port: PORT, mailboxPort, given };
}
