// `npm run bench:memory [-- minutes]` measures the memory of a server with 100,000 live sessions. Tokens of some of them, as many as
// the cache has room for, are looked up more than a million times, while others sign out. It prints resident memory at the start,
// after each round, when the token of every session has been looked up once, and of another server with 10,000 idle HTTP/2 connections.
import { randomUUID } from 'node:crypto';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import pg from 'pg';
import { VerifierService } from '../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import { rssMegabytes, SERVICE_KEY, serve, startBackends } from './harness.ts';
import { IDLE_CONNECTIONS, idleMemory } from './idle-memory.ts';
import { openTokenIssuer } from './issue-tokens.ts';

const SESSIONS = 100_000;
const LOOKUPS = 1_000_000;
const BATCH = 100;
/** Tokens that are looked up repeatedly. */
const IN_USE = 10_000;
const minutes = Number(process.argv[2] ?? 0);

const backends = await startBackends();
const server = await serve(backends.environment, null);
const owner = new pg.Client({ connectionString: backends.ownerUrl });
await owner.connect();
const issuer = await openTokenIssuer(backends.environment);

const userId = randomUUID();
await owner.query("INSERT INTO users (id, email, full_name, created_at) VALUES ($1, 'x@people.example', 'X', now())", [
  userId,
]);
const sessions = Array.from({ length: SESSIONS }, () => randomUUID());
await owner.query(
  "INSERT INTO sessions (id, user_id, created_at, expires_at, ends_by) SELECT id, $2, now(), now() + interval '1 day', now() + interval '1 day' FROM unnest($1::uuid[]) AS id",
  [sessions, userId],
);
const tokens: string[] = [];
for (const sid of sessions) tokens.push(await issuer.issue(userId, sid));
const report = (what: string) => console.log(`${what.padEnd(50)} ${rssMegabytes(server.pid).toFixed(0)} MB`);
report('at the start');

const verifier = createClient(VerifierService, createGrpcTransport({ baseUrl: server.url }));
const headers = { authorization: `Bearer ${SERVICE_KEY}` };
let looked = 0;
let ended = 0;
async function look(count: number, among = IN_USE): Promise<void> {
  for (let n = 0; n < count; n += BATCH) {
    const at = looked % among;
    const accessTokens = tokens.slice(at, at + BATCH);
    const { verdicts } = await verifier.batchVerify({ accessTokens }, { headers });
    if (verdicts.length !== BATCH) throw new Error('verdicts are missing');
    looked += BATCH;
  }
}

for (let n = 0; n < LOOKUPS; n += LOOKUPS / 5) {
  await look(LOOKUPS / 5);
  report(`${looked.toLocaleString('en')} look-ups`);
}
const end = performance.now() + minutes * 60_000;
for (let minute = 1; performance.now() < end; minute += 1) {
  const until = Math.min(end, performance.now() + 60_000);
  while (performance.now() < until) {
    await look(100 * BATCH);
    await owner.query('UPDATE sessions SET ended_at = now() WHERE id = $1', [
      sessions[SESSIONS - 1 - (ended++ % SESSIONS)],
    ]);
  }
  report(`minute ${minute}: ${looked.toLocaleString('en')} look-ups, ${ended} ended`);
}
looked = 0;
await look(SESSIONS, SESSIONS);
report('the token of every session once');
await Promise.all([owner.end(), issuer.close(), server.stop()]);
const idle = await idleMemory(['src/main.ts', 'serve'], backends.environment, tokens[0] as string);
const used = typeof idle === 'string' ? idle : `${idle.afterMb.toFixed(0)} MB, before ${idle.beforeMb.toFixed(0)} MB`;
console.log(`${`another server with ${IDLE_CONNECTIONS.toLocaleString('en')} idle connections`.padEnd(50)} ${used}`);
await backends.stop();
process.exit();
