// `npm start`: the service with everything that it needs. src/dev owns the embedded start, the checks of the repository
// and the generated documentation. The service must run without it.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import pretty from 'pino-pretty';
import { assertPortsFree } from '../app/assert-ports-free.ts';
import { startApp } from '../app.ts';
import { type Environment, readConfig } from '../config/config.ts';
import { createLogger } from '../process/log.ts';
import { prepareDatabase } from '../store/postgres/prepare-database.ts';
import { banner } from './banner.ts';
import { startEmbeddedPostgres } from './embedded-postgres.ts';
import { findRedis, startEmbeddedRedis } from './embedded-redis.ts';
import { freePort } from './free-port.ts';
import { claimHome, type Home, randomKey } from './home.ts';
import { startMailbox } from './mailbox.ts';
import { createDevPages } from './pages/dev-pages.ts';
import { progress } from './progress.ts';
import { DEV_HOST, type DevSettings, PROGRAM_CACHE } from './settings.ts';

const DATABASE = 'latchkey';
/** In bytes. Postgres truncates longer names. */
const MAX_NAME = 63;
const SUFFIX = '_dev';
/** The origin of examples/web-app. */
const WEB_APP_EXAMPLE = 'http://localhost:9002';

export type RunningDev = { close(): Promise<void> };

export async function startDev(settings: DevSettings): Promise<RunningDev> {
  const { given } = settings;
  await using started = new AsyncDisposableStack();
  const home = claimHome(settings.home);
  started.defer(() => home.release());
  await assertPortsFree(settings.ports);

  const port = settings.port || (await freePort());
  const apiUrl = `${given.TLS_CERT_FILE ? 'https' : 'http'}://localhost:${port}`;
  const ownerUrl =
    given.MIGRATION_DATABASE_URL ??
    given.DATABASE_URL ??
    (await progress('Postgres', () => embeddedDatabase(home, started)));
  const serviceUrl = (given.MIGRATION_DATABASE_URL && given.DATABASE_URL) || serviceLogin(ownerUrl, home);
  const redisUrl = given.REDIS_URL ?? (await progress('Redis', () => embeddedRedis(settings.searchPath, started)));
  const mailbox = given.SMTP_URL
    ? null
    : await progress('mailbox', () => embeddedMailbox(settings.mailboxPort, started));

  const generated = {
    HOST: DEV_HOST,
    ISSUER: apiUrl,
    PUBLIC_URL: apiUrl,
    WEBAUTHN_ORIGINS: passkeyOrigins(given, apiUrl),
    SMTP_URL: mailbox?.smtpUrl,
    MAIL_FROM: 'no-reply@latchkey.example',
    MASTER_KEY: home.secret('master-key', randomKey),
    MASTER_KEY_ACCEPTED: undefined,
    SERVICE_KEYS: `dev=${home.secret('service-key', randomKey)}`,
  };
  const addresses = {
    PORT: String(port),
    DATABASE_URL: serviceUrl,
    MIGRATION_DATABASE_URL: ownerUrl,
    REDIS_URL: redisUrl,
  };
  const config = readConfig({ ...generated, ...given, ...addresses });
  // Commands with --dev read this file.
  const chosen = Object.fromEntries(Object.entries(generated).map(([name, value]) => [name, given[name] ?? value]));
  home.write('env', envFile({ ...chosen, ...addresses }));
  await progress('schema', () => prepareDatabase(ownerUrl, serviceUrl));
  const log = createLogger(
    config.process.logLevel,
    pretty({ sync: true, singleLine: true, translateTime: 'HH:MM:ss' }),
  );
  const pages = createDevPages({ apiUrl, mailboxUrl: mailbox?.url ?? null, publicUrl: config.mail.publicUrl });
  const app = await progress('API and worker', () => startApp(config, { api: true, worker: true }, log, { pages }));
  started.defer(() => app.close());
  console.log(
    banner(apiUrl, given.TLS_CERT_FILE ?? null, mailbox?.url ?? null, given.DATABASE_URL ? null : settings.home),
  );
  const running = started.move();
  return { close: () => running.disposeAsync() };
}

/** The pages of this machine, unless the developer has chosen others. */
function passkeyOrigins({ PUBLIC_URL, WEBAUTHN_RP_ID }: Environment, apiUrl: string): string | undefined {
  return PUBLIC_URL || WEBAUTHN_RP_ID ? undefined : `${apiUrl},${WEB_APP_EXAMPLE}`;
}

async function embeddedDatabase(home: Home, started: AsyncDisposableStack): Promise<string> {
  const postgres = await startEmbeddedPostgres(join(home.folder, 'postgres'));
  started.defer(() => postgres.stop());
  const url = withPath(postgres.url, `/${DATABASE}`);
  home.write('database-url', url);
  return url;
}

function envFile(values: Environment): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}='${value ?? ''}'`)
    .join('\n');
}

/** The name contains the database, because logins belong to the server, which can have a database for each folder. */
function serviceLogin(ownerUrl: string, home: Home): string {
  const url = new URL(ownerUrl);
  const database = decodeURIComponent(url.pathname.slice(1)) || DATABASE;
  url.username = encodeURIComponent(`${database.slice(0, MAX_NAME - SUFFIX.length)}${SUFFIX}`);
  url.password = home.secret('database-password', () => randomBytes(24).toString('hex'));
  return url.href;
}

async function embeddedRedis(searchPath: string, started: AsyncDisposableStack): Promise<string> {
  const redis = await startEmbeddedRedis(await findRedis(searchPath, PROGRAM_CACHE));
  started.defer(() => redis.stop());
  return redis.url;
}

async function embeddedMailbox(port: number, started: AsyncDisposableStack) {
  const mailbox = await startMailbox({
    port,
    onMail: ({ to, subject, link }) =>
      console.log(printable(`  mail to ${to}: ${subject}`) + (link ? `\n  ${printable(link)}` : '')),
  });
  started.defer(() => mailbox.close());
  return mailbox;
}

function withPath(url: string, path: string): string {
  const changed = new URL(url);
  changed.pathname = path;
  return changed.href;
}

/** Control characters in an e-mail must not reach the terminal. */
function printable(text: string): string {
  return text.replace(/\p{C}/gu, '');
}
