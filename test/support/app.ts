// The real service in this process: real Postgres, Redis and SMTP, a real port.
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { afterAll } from 'vitest';
import { type App, type AppOptions, type Parts, startApp } from '../../src/app.ts';
import { type Environment, readConfig } from '../../src/config/config.ts';
import { type Mailbox, startMailbox } from '../../src/dev/mailbox.ts';
import { createLogger } from '../../src/process/log.ts';
import { type Caller, viaFetch } from './clients.ts';
import { createTestDatabase, createTestRedis } from './databases.ts';
import { assertDocumentedLines } from './documented-log-lines.ts';

export type TestApp = App & {
  /** `http://127.0.0.1:port` */
  url: string;
  /** Calls it with JSON over HTTP/1.1. */
  call: Caller;
  mailbox: Mailbox;
  /** Every line of the log. */
  logs: string[];
  /** The same database as its owner, who has privileges that the service lacks. */
  owner: pg.Pool;
  environment: Environment;
  /** The service's clock, in milliseconds since 1970. */
  time(): number;
  /** Moves the service's clock forward. */
  advance(milliseconds: number): void;
  /** Stops it. */
  freeze(): void;
};

export const SERVICE_KEY = 'svc-0123456789abcdefghijklmnopqrstuv';

/** Cheap hashes and high limits; a test about either sets its own. */
export const QUICK: Environment = {
  ARGON2_MEMORY_KIB: '256',
  ARGON2_ITERATIONS: '1',
  HOST: '127.0.0.1',
  PORT: '0',
  LIMIT_LOGIN_ACCOUNT: '1000/60',
  LIMIT_LOGIN_PAIR: '1000/60',
  LIMIT_LOGIN_NETWORK: '10000/60',
  LIMIT_REGISTER_NETWORK: '10000/60',
  LIMIT_REGISTER_ACCOUNT: '1000/60',
  LIMIT_REFRESH_NETWORK: '10000/60',
  LIMIT_REFRESH_SESSION: '10000/60',
  LIMIT_REFRESH_USER: '10000/60',
  LIMIT_REQUEST_RESET_ACCOUNT: '1000/60',
  LIMIT_REQUEST_RESET_NETWORK: '10000/60',
  LIMIT_REQUEST_VERIFICATION_ACCOUNT: '1000/60',
  LIMIT_CONFIRM_RESET_NETWORK: '10000/60',
  LIMIT_CONFIRM_RESET_TOKEN: '1000/60',
  LIMIT_CHANGE_PASSWORD_USER: '1000/60',
  LIMIT_CHANGE_EMAIL_USER: '1000/60',
  REAUTHENTICATION_SECONDS: '86400',
  LIMIT_NOTICE_ACCOUNT: '1000/60',
  LIMIT_ACCOUNT_CHANGE_USER: '1000/60',
  LIMIT_REVOCATION_SESSION: '1000/60',
  LIMIT_FACTOR_CODE_NETWORK: '10000/60',
  LIMIT_PASSKEY_NETWORK: '10000/60',
  LIMIT_PASSKEY_SIGN_IN_NETWORK: '10000/60',
  LIMIT_STEP_UP_SESSION: '1000/60',
  LIMIT_MAIL_DOMAIN: '10000/60',
  LIMIT_GLOBAL_SIGN_INS: '1000000/60',
  LIMIT_GLOBAL_SIGN_UPS: '1000000/60',
  LIMIT_GLOBAL_MAILS: '1000000/60',
  LIMIT_GLOBAL_MAIL_DOMAIN: '1000000/60',
  JOB_BACKOFF_MS: '50',
  MAIL_RETRY_FOR_SECONDS: '2',
};

/** An environment on databases of its own, with mail sent to the mailbox. */
export async function testEnvironment(mailbox: Mailbox, overrides: Environment = {}): Promise<Environment> {
  const [database, redisUrl] = await Promise.all([createTestDatabase(), createTestRedis()]);
  return {
    ...QUICK,
    PUBLIC_URL: 'https://product.example',
    MAIL_FROM: 'no-reply@product.example',
    DATABASE_URL: database.serviceUrl,
    MIGRATION_DATABASE_URL: database.ownerUrl,
    REDIS_URL: redisUrl,
    SMTP_URL: mailbox.smtpUrl,
    MASTER_KEY: randomBytes(32).toString('base64'),
    SERVICE_KEYS: `gateway=${SERVICE_KEY}`,
    ...overrides,
  };
}

export function openTestMailbox(): Promise<Mailbox> {
  return startMailbox({ port: 0, onMail: () => {} });
}

/** The service for all tests of a file. It closes itself after them. */
export async function testApp(overrides?: Environment, parts?: Parts): Promise<TestApp> {
  const app = await startTestApp(overrides, parts);
  afterAll(() => app.close());
  return app;
}

/** The caller must close it. */
export async function startTestApp(
  overrides: Environment = {},
  parts: Parts = { api: true, worker: true },
  options: Pick<AppOptions, 'pages'> = {},
): Promise<TestApp> {
  const mailbox = await openTestMailbox();
  const environment = await testEnvironment(mailbox, overrides);
  const logs: string[] = [];
  const dropped: string[] = [];
  const log = createLogger('info', { write: (line) => void logs.push(line) }, (name) => void dropped.push(name));
  let ahead = 0;
  let frozenAt: number | null = null;
  const time = () => (frozenAt ?? Date.now()) + ahead;
  const app = await startApp(readConfig(environment), parts, log, {
    ...options,
    clock: () => new Date(time()),
  });
  const owner = new pg.Pool({ connectionString: environment.MIGRATION_DATABASE_URL, max: 2 });
  owner.on('error', () => {});
  const url = `http://127.0.0.1:${app.port}`;
  return {
    ...app,
    url,
    call: viaFetch(url),
    mailbox,
    logs,
    owner,
    environment,
    time,
    advance: (milliseconds) => {
      ahead += milliseconds;
    },
    freeze: () => {
      frozenAt = Date.now();
    },
    async close() {
      await app.close();
      await owner.end();
      await mailbox.close();
      assertDocumentedLines(logs, dropped);
    },
  };
}
