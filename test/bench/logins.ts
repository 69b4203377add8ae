// Sign-ins: their rate beside raw argon2id, and as a storm beside which something else is measured.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { auth, viaFetch } from '../support/clients.ts';
import { type Backends, childrenOf, LOAD_CORE, median, PASSWORD, pin, SERVER_CORE, serve, signIn } from './harness.ts';

const run = promisify(execFile);
const CALLERS = 24;
const SECONDS = 3;

/** Signs in continuously with several callers. Returns the sign-ins a second. */
export async function storm(url: string, email: string, seconds: number): Promise<number> {
  const call = viaFetch(url);
  const startedAt = performance.now();
  const end = startedAt + seconds * 1000;
  let done = 0;
  await Promise.all(
    Array.from({ length: CALLERS }, async () => {
      while (performance.now() < end) {
        const { code } = await call(auth.login, { email, password: PASSWORD });
        if (code !== 'ok') throw new Error(code);
        if (performance.now() < end) done += 1;
      }
    }),
  );
  return done / seconds;
}

/** Hashing has one core for itself. Everything else, including the callers and Postgres, shares the other. */
export async function loginRates({ environment }: Backends, rounds: number) {
  const server = await serve({ ...environment, HASH_CONCURRENCY: '1' }, SERVER_CORE);
  for (const pid of childrenOf(server.pid, 'hashing-main')) pin(pid, LOAD_CORE);
  const { email } = await signIn(server.url);
  const [logins, raw]: [number[], number[]] = [[], []];
  for (let round = -1; round < rounds; round += 1) {
    const perSecond = await storm(server.url, email, SECONDS);
    const args = ['-c', String(LOAD_CORE), process.execPath, 'test/bench/raw-argon2.ts', String(SECONDS)];
    const { stdout } = await run('taskset', args);
    if (round < 0) continue;
    logins.push(perSecond);
    raw.push(Number(stdout));
  }
  await server.stop();
  return { login: median(logins), raw: median(raw) };
}
