// Checks whether the time of a response shows that an account exists. Each scenario is a fresh service on accounts whose passwords
// have certain hashes. Failed sign-ins of each kind take turns, and each kind is compared with "unknown account": medians, and the
// p-value of the Kolmogorov-Smirnov test. A small p (below 0.01) in one of some forty rows is chance. The same row again is a leak.
// Register is compared in the same way, where addresses must be verified.
// npm run bench:login-timing [rounds] [part of a scenario's title]
import { pbkdf2Sync, randomBytes, randomUUID, scryptSync } from 'node:crypto';
import argon2 from 'argon2';
import bcrypt from 'bcrypt';
import { startApp } from '../../src/app.ts';
import { type Environment, readConfig } from '../../src/config/config.ts';
import { parseEmail } from '../../src/domain/email.ts';
import { createLogger } from '../../src/process/log.ts';
import { openDatabase } from '../../src/store/postgres/database.ts';
import { auth, type Caller, viaFetch } from '../support/clients.ts';
import { newPerson } from '../support/people.ts';
import { compareTimes } from './compare-times.ts';
import { startBackends } from './harness.ts';

const rounds = Number(process.argv[2] ?? 150);
const wanted = process.argv[3] ?? '';
const password = 'the right pass phrase';
const UNKNOWN = 'unknown account';

const argon2id = (memoryCost: number, timeCost: number) =>
  argon2.hash(password, { memoryCost, timeCost, parallelism: 1 });
const base64 = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '');
const pbkdf2 = (iterations: number) => {
  const salt = randomBytes(16);
  return `$pbkdf2-sha256$${iterations}$${base64(salt)}$${base64(pbkdf2Sync(password, salt, iterations, 32, 'sha256'))}`;
};
const scrypt = () => {
  const salt = randomBytes(16);
  const digest = scryptSync(password, salt, 32, { cost: 2 ** 14, blockSize: 8, parallelization: 1 });
  return `$scrypt$ln=14,r=8,p=1$${base64(salt)}$${base64(digest)}`;
};
const CURRENT = await argon2id(19_456, 2);
const RAISED = { ARGON2_MEMORY_KIB: '65536', ARGON2_ITERATIONS: '3' };
const SAME: Record<string, string> = { 'wrong password': CURRENT, 'unreadable hash': CURRENT.slice(0, 60) };

type Scenario = { title: string; environment?: Environment; hashes: Record<string, string> };
const SCENARIOS: Scenario[] = [
  { title: 'one kind', hashes: SAME },
  {
    title: 'ARGON2_* raised (64 MiB, 3)',
    environment: RAISED,
    hashes: { 'an old hash': CURRENT, 'a new hash': await argon2id(65_536, 3) },
  },
  { title: 'ARGON2_* lowered from that', hashes: { ...SAME, 'an old hash': await argon2id(65_536, 3) } },
  {
    title: 'bcrypt 10 and 8 imported',
    hashes: { ...SAME, 'bcrypt 10': await bcrypt.hash(password, 10), 'bcrypt 8': await bcrypt.hash(password, 8) },
  },
  { title: 'scrypt imported', hashes: { ...SAME, scrypt: scrypt() } },
  {
    title: 'PBKDF2 imported',
    hashes: { ...SAME, 'PBKDF2, 20,000 rounds': pbkdf2(20_000), 'PBKDF2, 260,000 rounds': pbkdf2(260_000) },
  },
  {
    title: 'a bit of everything',
    hashes: {
      ...SAME,
      'argon2id 8 MiB': await argon2id(8_192, 1),
      'bcrypt 9': await bcrypt.hash(password, 9),
      scrypt: scrypt(),
      PBKDF2: pbkdf2(50_000),
    },
  },
];

const backends = await startBackends();
const db = openDatabase({ url: backends.ownerUrl, poolSize: 1, statementTimeoutMs: 5_000 }, () => {});
console.log(`${rounds} rounds, in each of them one call of every kind in random order`);

for (const { title, environment, hashes } of SCENARIOS.filter(({ title }) => title.includes(wanted))) {
  await db.deleteFrom('users').execute();
  for (const [kind, hash] of Object.entries({ ...hashes, 'account disabled': CURRENT, 'no password (OAuth)': null })) {
    const disabledAt = kind === 'account disabled' ? new Date() : null;
    await db
      .insertInto('users')
      .values({
        id: randomUUID(),
        email: parseEmail(emailOf(kind)),
        full_name: kind,
        password_hash: hash,
        disabled_at: disabledAt,
        created_at: new Date(),
      })
      .execute();
  }
  const app = await start(environment);
  const kinds = [UNKNOWN, ...Object.keys(hashes), 'account disabled', 'no password (OAuth)'];
  await compareTimes(
    rounds,
    title,
    Object.fromEntries(kinds.map((kind) => [kind, () => failToSignIn(app.call, kind)])),
  );
  await app.close();
}

const strict = await start({
  REQUIRE_EMAIL_VERIFICATION: 'on',
  LIMIT_REGISTER_ACCOUNT: '1000000/60',
  LIMIT_MAIL_DOMAIN: '1000000/60',
});
const taken = newPerson();
const register = async (email: string) => {
  const { code } = await strict.call(auth.register, { email, password, fullName: 'Grace Hopper' });
  if (code !== 'ok') throw new Error(`Register: ${code}`);
};
await register(taken.email);
await compareTimes(rounds, 'Register, REQUIRE_EMAIL_VERIFICATION=on', {
  'new address': () => register(newPerson().email),
  'taken address': () => register(taken.email),
});
await compareTimes(rounds, 'Login there', {
  [UNKNOWN]: () => failToSignIn(strict.call, UNKNOWN),
  'unverified, wrong password': () => failToSignIn(strict.call, 'unverified', taken.email),
  'unverified, right password': () => failToSignIn(strict.call, 'unverified', taken.email, password),
});
await strict.close();
await db.destroy();
await backends.stop();
process.exit();

async function start(overrides: Environment = {}) {
  const config = readConfig({ ...backends.environment, ...overrides });
  const app = await startApp(config, { api: true, worker: false }, createLogger('silent'));
  const call: Caller = viaFetch(`http://127.0.0.1:${app.port}`);
  return { call, close: app.close };
}

function emailOf(kind: string): string {
  return `${kind.toLowerCase().replace(/[^a-z0-9]+/g, '-')}@people.example`;
}

async function failToSignIn(call: Caller, kind: string, email = emailOf(kind), presented = 'a wrong pass phrase') {
  const { reason } = await call(auth.login, { email, password: presented });
  if (reason !== 'CREDENTIALS_INVALID') throw new Error(`${kind}: ${reason}`);
}
