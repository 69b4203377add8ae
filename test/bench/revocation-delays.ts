import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { auth, viaFetch } from '../support/clients.ts';
import { type Backends, serve, signIn } from './harness.ts';

/** The time from the commit that ends a session, in another process, to the first rejection of its token at a server. */
export async function revocationDelays(
  { environment, ownerUrl }: Backends,
  listenUrl: string | undefined,
  count: number,
): Promise<number[]> {
  const settings = listenUrl === undefined ? {} : { DATABASE_LISTEN_URL: listenUrl };
  const [issuing, watching] = [await serve(environment, null), await serve({ ...environment, ...settings }, null)];
  const owner = new pg.Client({ connectionString: ownerUrl });
  await owner.connect();
  const call = viaFetch(watching.url);
  const delays: number[] = [];
  for (let n = 0; n < count; n += 1) {
    const { accessToken, sessionId } = await signIn(issuing.url);
    if ((await call(auth.verify, { accessToken })).code !== 'ok') throw new Error('rejected too early');
    // Independent of the poll's rhythm.
    await sleep(Math.random() * 500);
    await owner.query('UPDATE sessions SET ended_at = now() WHERE id = $1', [sessionId]);
    const committedAt = performance.now();
    while ((await call(auth.verify, { accessToken })).code === 'ok') await sleep(1);
    delays.push(performance.now() - committedAt);
  }
  await owner.end();
  await Promise.all([issuing.stop(), watching.stop()]);
  return delays;
}
