// Does the time of an answer tell whether there is an account? Asks in turn about accounts of each kind, on services of its own, and
// prints medians and ratios: of a failed Login, and of Register where addresses must be verified. Run it with:
// npm run bench:login-timing [rounds]
import bcrypt from 'bcrypt';
import { startApp } from '../../src/app.ts';
import { type Environment, readConfig } from '../../src/config.ts';
import { parseEmail } from '../../src/domain/email.ts';
import { createLogger } from '../../src/log.ts';
import { openDatabase } from '../../src/store/database.ts';
import { auth, type Caller, viaFetch } from '../support/clients.ts';
import { somebody } from '../support/people.ts';
import { quantile, startBackends } from './harness.ts';

const WARM_UP_ROUNDS = 10;
const rounds = Number(process.argv[2] ?? 200);
const password = 'the right pass phrase';

const backends = await startBackends();
const noLimits = {
  LIMIT_REGISTER_NETWORK: '1000000/60',
  LIMIT_REGISTER_ACCOUNT: '1000000/60',
  LIMIT_MAIL_DOMAIN: '1000000/60',
};
const [plain, strict] = [await start(noLimits), await start({ ...noLimits, REQUIRE_EMAIL_VERIFICATION: 'on' })];

for (const kind of ['known', 'disabled', 'bcrypt']) await plain.call(auth.register, as(kind));
const db = openDatabase({ url: backends.ownerUrl, poolSize: 1, statementTimeoutMs: 5_000 }, () => {});
const update = (kind: string) => db.updateTable('users').where('email', '=', parseEmail(as(kind).email));
await update('disabled').set({ disabled_at: new Date() }).execute();
await update('bcrypt')
  .set({ password_hash: await bcrypt.hash(password, 10) })
  .execute();
await db.destroy();

const failToSignIn = (kind: string) => async () => {
  const { reason } = await plain.call(auth.login, { email: as(kind).email, password: 'a wrong pass phrase' });
  if (reason !== 'CREDENTIALS_INVALID') throw new Error(`${kind}: ${reason}`);
};
const register = (email: () => string) => async () => {
  const { code } = await strict.call(auth.register, { ...as('known'), email: email() });
  if (code !== 'ok') throw new Error(`Register: ${code}`);
};

console.log(`${rounds} calls of each kind, in turn; argon2id ${plain.memoryKib} KiB`);
await compare('Login that fails', {
  unknown: failToSignIn('unknown'),
  known: failToSignIn('known'),
  disabled: failToSignIn('disabled'),
  bcrypt: failToSignIn('bcrypt'),
});
await compare('Register, REQUIRE_EMAIL_VERIFICATION=on', {
  new: register(() => somebody().email),
  taken: register(() => as('known').email),
});
await Promise.all([plain.close(), strict.close()]);
await backends.stop();
process.exit();

async function start(overrides: Environment) {
  const config = readConfig({ ...backends.environment, ...overrides });
  const app = await startApp(config, { api: true, worker: false }, createLogger('silent'));
  const call: Caller = viaFetch(`http://127.0.0.1:${app.port}`);
  return { call, close: app.close, memoryKib: config.ARGON2_MEMORY_KIB };
}

function as(kind: string) {
  return { email: `${kind}@people.example`, password, fullName: 'Somebody' };
}

/** Against the first of them. */
async function compare(title: string, kinds: Record<string, () => Promise<void>>): Promise<void> {
  const times = new Map<string, number[]>(Object.keys(kinds).map((kind) => [kind, []]));
  // The first rounds warm up, and let the service meet its slowest kind of hash.
  for (let round = -WARM_UP_ROUNDS; round < rounds; round += 1) {
    for (const [kind, ask] of Object.entries(kinds)) {
      const startedAt = performance.now();
      await ask();
      if (round >= 0) times.get(kind)?.push(performance.now() - startedAt);
    }
  }
  const [first] = times.keys();
  const reference = quantile(times.get(first ?? '') ?? [], 0.5);
  console.log(`\n${title.padEnd(40)} median ms   p90 ms   median against ${first}`);
  for (const [kind, values] of times) {
    const [median, p90] = [quantile(values, 0.5), quantile(values, 0.9)];
    const columns = [median.toFixed(2).padStart(10), p90.toFixed(2).padStart(8), (median / reference).toFixed(3)];
    console.log(`  ${kind.padEnd(37)} ${columns.join('   ')}`);
  }
}
