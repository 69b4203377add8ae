// `doctor`: looks at everything that the service needs, and says of what is wrong how to mend it.
import { randomUUID, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { type Config, ConfigError, type Environment, readConfig } from '../config.ts';
import type { KeyRing } from '../domain/key-ring.ts';
import { openMailer } from '../jobs/mailer.ts';
import { foreignKeys, openPrivateKey } from '../keys/key-encryption.ts';
import { derivePurposeKeys } from '../keys/purpose-keys.ts';
import { operatorMessage } from '../operator-error.ts';
import { impatient, openRedis } from '../redis.ts';
import { type Db, openDatabase } from '../store/database.ts';
import { diagnoseDatabase } from '../store/diagnose-database.ts';
import { createServiceAccounts } from '../store/service-accounts.ts';
import { createSigningKeyRows, type StoredSigningKey } from '../store/signing-key-rows.ts';
import type { Output } from './output.ts';
import { KEY_EXPIRY_NOTICE_MS } from './services.ts';

type State = 'ok' | 'warning' | 'failed';
/** `mend` says how; empty when nothing is wrong. */
type Finding = { check: string; state: State; what: string; mend: string };

const TIMEOUT_MS = 5_000;
/** Tokens are taken that were issued up to 60 seconds ahead. */
const CLOCK_WARNING_MS = 1_000;
const CLOCK_FAILURE_MS = 30_000;
const CERTIFICATE_WARNING_DAYS = 14;
const DAY_MS = 86_400_000;

/** Returns whether nothing has failed. */
export async function examine(environment: Environment, output: Output): Promise<boolean> {
  const findings: Finding[] = [];
  const config = readOrReport(environment, findings);
  if (config) {
    findings.push(...(await examinePostgres(config)), ...(await examineRedis(config)), await examineSmtp(config));
    if (config.tls) findings.push(examineCertificate(config.tls.certFile));
  }
  output.rows(findings, '');
  return findings.every(({ state }) => state !== 'failed');
}

function ok(check: string, what: string): Finding {
  return { check, state: 'ok', what, mend: '' };
}

function readOrReport(environment: Environment, findings: Finding[]): Config | null {
  try {
    const config = readConfig(environment);
    findings.push(ok('configuration', `NODE_ENV=${config.NODE_ENV}`));
    return config;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const mend = 'README.md has the table of keys';
    findings.push(...error.problems.map((what): Finding => ({ check: 'configuration', state: 'failed', what, mend })));
    return null;
  }
}

async function examinePostgres({ DATABASE_URL: url, masterKeys }: Config): Promise<Finding[]> {
  await using db = openDatabase({ url, poolSize: 1, statementTimeoutMs: TIMEOUT_MS }, () => {});
  try {
    const { version, now, isMigrated, roleProblem, hasPartitions } = await diagnoseDatabase(db);
    const keys = isMigrated ? await createSigningKeyRows(db, randomUUID).usable() : [];
    return [
      ok('postgres', `answers, version ${version}`),
      isMigrated
        ? ok('schema', 'is as new as this release')
        : { check: 'schema', state: 'failed', what: 'is older than this release', mend: 'run migrate' },
      roleProblem === null
        ? ok('database role', 'may do what the service may, and no more')
        : { check: 'database role', state: 'failed', what: roleProblem, mend: 'README.md, "Database roles"' },
      hasPartitions
        ? ok('audit partitions', 'are made ahead')
        : {
            check: 'audit partitions',
            state: 'warning' as const,
            what: 'next month has none yet',
            mend: 'a worker makes them: does one run?',
          },
      keysFinding(keys, masterKeys),
      ...(isMigrated ? [await apiKeysFinding(db)] : []),
      clockFinding('clock against Postgres', Date.now() - now.getTime()),
    ];
  } catch (error) {
    return [failure('postgres', error, 'is it running, and is DATABASE_URL right?')];
  }
}

function keysFinding(keys: StoredSigningKey[], masterKeys: KeyRing): Finding {
  const check = 'signing keys';
  if (keys.length === 0) return ok(check, 'none yet: the service makes them when it starts');
  const encryptionKeys = derivePurposeKeys(masterKeys).signingKeyEncryption;
  const opened = keys.map(({ kid, encryptedPrivateKey }) => openPrivateKey(encryptedPrivateKey, kid, encryptionKeys));
  const foreign = keys.filter((_, n) => opened[n] === null).map(({ kid }) => kid);
  if (foreign.length > 0) {
    const mend = 'set MASTER_KEY to the one it was made with, or add that to MASTER_KEY_ACCEPTED';
    const mistake = 'if some process made it by mistake, stop that and run keys retire';
    return { check, state: 'failed', what: foreignKeys(foreign).message, mend: `${mend}; ${mistake}` };
  }
  const old = opened.filter((key) => !key?.isCurrent).length;
  if (old > 0) {
    const what = `${old} of ${keys.length} are encrypted under a key of MASTER_KEY_ACCEPTED`;
    return { check, state: 'warning', what, mend: 'run keys reencrypt' };
  }
  if (!keys.some(({ state }) => state === 'published')) {
    return { check, state: 'warning', what: 'none is published to sign next', mend: 'a worker does it: does one run?' };
  }
  return ok(check, `${keys.length} open with MASTER_KEY`);
}

async function apiKeysFinding(db: Db): Promise<Finding> {
  const check = 'API keys';
  const now = () => new Date();
  const soon = new Date(now().getTime() + KEY_EXPIRY_NOTICE_MS);
  const keys = await createServiceAccounts(db, randomUUID, now).keysThatExpireBy(soon);
  const [first] = keys;
  if (!first) return ok(check, 'none expires within 30 days');
  const { service, name, expiresAt } = first;
  const what = `${keys.length} expire within 30 days, the first at ${expiresAt.toISOString()}: "${name}" of ${service}`;
  return {
    check,
    state: 'warning',
    what,
    mend: 'run services create-key, give the service the new key, and revoke the old one',
  };
}

async function examineRedis({ REDIS_URL: url }: Config): Promise<Finding[]> {
  const redis = openRedis(url, { ...impatient(TIMEOUT_MS), enableOfflineQueue: true }, () => {});
  try {
    const [seconds, microseconds] = (await redis.time()).map(Number) as [number, number];
    return [
      ok('redis', 'answers'),
      await evictionFinding(redis),
      await persistenceFinding(redis),
      clockFinding('clock against Redis', Date.now() - (seconds * 1000 + microseconds / 1000)),
    ];
  } catch (error) {
    return [
      failure('redis', error, 'is it running, and is REDIS_URL right? Without it limits are stricter and mail is late'),
    ];
  } finally {
    redis.disconnect();
  }
}

/** BullMQ's keys must not be evicted, and neither must counts of attempts. */
async function evictionFinding(redis: Redis): Promise<Finding> {
  const check = 'redis eviction';
  const [, policy = ''] = (await redis.config('GET', 'maxmemory-policy').catch(() => [])) as string[];
  if (policy === 'noeviction') return ok(check, policy);
  const mend = 'set maxmemory-policy noeviction';
  if (policy === '')
    return { check, state: 'warning', what: 'CONFIG is not allowed here', mend: `make sure of it: ${mend}` };
  return { check, state: 'failed', what: `${policy}: counts and jobs may vanish`, mend };
}

async function persistenceFinding(redis: Redis): Promise<Finding> {
  const check = 'redis persistence';
  const info = await redis.info('persistence').catch(() => '');
  const isAppending = /^aof_enabled:1/m.test(info);
  if (isAppending) return ok(check, 'append only file');
  // What is lost with Redis comes again from the outbox; only limits begin anew.
  return {
    check,
    state: 'warning',
    what: 'no append only file: a restart loses the counts of attempts',
    mend: 'set appendonly yes',
  };
}

async function examineSmtp({ SMTP_URL: url, MAIL_FROM: from, mailSecurity }: Config): Promise<Finding> {
  const mailer = openMailer(url, from, mailSecurity);
  try {
    await mailer.verify();
    return ok('smtp', 'answers, and takes the login');
  } catch (error) {
    return failure('smtp', error, 'are SMTP_URL, its login and its port right?');
  } finally {
    mailer.close();
  }
}

function examineCertificate(file: string): Finding {
  const check = 'certificate';
  const ends = new Date(new X509Certificate(readFileSync(file)).validTo);
  const days = Math.floor((ends.getTime() - Date.now()) / DAY_MS);
  const what = `is good until ${ends.toISOString()}`;
  const mend = 'renew it; the service takes up the new files by itself';
  if (days < 0) return { check, state: 'failed', what: `ended at ${ends.toISOString()}`, mend };
  return days < CERTIFICATE_WARNING_DAYS ? { check, state: 'warning', what, mend } : ok(check, what);
}

function clockFinding(check: string, differenceMs: number): Finding {
  const what = `differs by ${Math.round(Math.abs(differenceMs))} ms`;
  const mend = 'let NTP set the clocks of both machines';
  if (Math.abs(differenceMs) > CLOCK_FAILURE_MS) return { check, state: 'failed', what, mend };
  return Math.abs(differenceMs) > CLOCK_WARNING_MS ? { check, state: 'warning', what, mend } : ok(check, what);
}

function failure(check: string, error: unknown, mend: string): Finding {
  const said = operatorMessage(error) ?? (error instanceof Error ? error.message : String(error));
  return { check, state: 'failed', what: said.split('\n', 1)[0] || 'no answer', mend };
}
