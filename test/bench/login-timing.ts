// Does the time of a failed sign-in tell whether there is an account? Asks in turn about accounts of each kind, on a
// service of its own, and prints medians and ratios. Run it with: npm run bench:login-timing [rounds]
import bcrypt from 'bcrypt';
import { startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { parseEmail } from '../../src/domain/email.ts';
import { createLogger } from '../../src/log.ts';
import { openDatabase } from '../../src/store/database.ts';
import { auth, viaFetch } from '../support/clients.ts';
import { quantile, startBackends } from './harness.ts';

const rounds = Number(process.argv[2] ?? 200);
const backends = await startBackends();
const config = readConfig(backends.environment);
const app = await startApp(config, { api: true, worker: false }, createLogger('silent'));
const call = viaFetch(`http://127.0.0.1:${app.port}`);

const kinds = ['known', 'disabled', 'bcrypt', 'unknown'];
const password = 'the right pass phrase';
for (const kind of kinds.slice(0, 3)) {
  await call(auth.register, { email: `${kind}@people.example`, password, fullName: 'Somebody' });
}
const db = openDatabase({ url: backends.ownerUrl, poolSize: 1, statementTimeoutMs: 5_000 }, () => {});
await db
  .updateTable('users')
  .set({ disabled_at: new Date() })
  .where('email', '=', parseEmail('disabled@people.example'))
  .execute();
await db
  .updateTable('users')
  .set({ password_hash: await bcrypt.hash(password, 10) })
  .where('email', '=', parseEmail('bcrypt@people.example'))
  .execute();
await db.destroy();

const times = new Map<string, number[]>(kinds.map((kind) => [kind, []]));
// The first rounds warm up, and let the service meet its slowest kind of hash.
for (let round = -10; round < rounds; round += 1) {
  for (const kind of kinds) {
    const startedAt = performance.now();
    const { reason } = await call(auth.login, { email: `${kind}@people.example`, password: 'a wrong pass phrase' });
    if (reason !== 'CREDENTIALS_INVALID') throw new Error(`${kind}: ${reason}`);
    if (round >= 0) times.get(kind)?.push(performance.now() - startedAt);
  }
}
await app.close();
await backends.stop();

const unknown = times.get('unknown') ?? [];
console.log(`${rounds} failed sign-ins of each kind, in turn; argon2id ${config.ARGON2_MEMORY_KIB} KiB\n`);
console.log('account    median ms   p90 ms   median against unknown');
for (const [kind, values] of times) {
  const [median, p90] = [quantile(values, 0.5), quantile(values, 0.9)];
  const ratio = median / quantile(unknown, 0.5);
  console.log(
    `${kind.padEnd(9)} ${median.toFixed(2).padStart(10)} ${p90.toFixed(2).padStart(8)} ${ratio.toFixed(3).padStart(12)}`,
  );
}
process.exit();
