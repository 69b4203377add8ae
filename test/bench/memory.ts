// `npm run bench:memory [-- minutes]` measures the memory of a server with 100,000 live sessions. Tokens of some of them, as many as
// the cache has room for, are looked up more than a million times, while others sign out. It prints resident memory at the start,
// after each round, and at the end, when the token of every session has been looked up once.
import { randomUUID } from 'node:crypto';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import pg from 'pg';
import { VerifierService } from '../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import { readConfig } from '../../src/config/config.ts';
import { createKeyRotation } from '../../src/keys/key-rotation.ts';
import { derivePurposeKeys } from '../../src/keys/purpose-keys.ts';
import { loadSigningKeys } from '../../src/keys/signing-keys.ts';
import { openDatabase } from '../../src/store/postgres/database.ts';
import { createSigningKeyRows } from '../../src/store/signing-key-rows.ts';
import { rssMegabytes, SERVICE_KEY, serve, startBackends } from './harness.ts';

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
const config = readConfig(backends.environment);
const db = openDatabase({ url: config.database.url, poolSize: 1, statementTimeoutMs: 5_000 }, () => {});
const rows = createSigningKeyRows(db, randomUUID);
const encryptionKeys = derivePurposeKeys(config.keys.masterKeys).signingKeyEncryption;
const rotation = createKeyRotation({ store: rows, encryptionKeys, now: () => new Date() });
const keys = await loadSigningKeys({
  store: rows,
  createFirst: () => rotation.advance(config.keys.policy),
  encryptionKeys,
  areStale: () => false,
  onUndecryptable: () => {},
});

const userId = randomUUID();
await owner.query("INSERT INTO users (id, email, full_name, created_at) VALUES ($1, 'x@people.example', 'X', now())", [
  userId,
]);
const sessions = Array.from({ length: SESSIONS }, () => randomUUID());
await owner.query(
  "INSERT INTO sessions (id, user_id, created_at, expires_at, ends_by) SELECT id, $2, now(), now() + interval '1 day', now() + interval '1 day' FROM unnest($1::uuid[]) AS id",
  [sessions, userId],
);
const iat = Math.floor(Date.now() / 1000);
const tokens: string[] = [];
for (const sid of sessions) {
  const rest = { aud: ['latchkey'], client_id: 'latchkey', iat, exp: iat + 3600, jti: randomUUID() };
  const person = { sub: userId, sid, email: 'x@people.example', email_verified: true };
  const roles = { roles: ['user'], epoch: 1, roles_epoch: 0 };
  tokens.push(await keys.sign({ iss: config.tokens.issuer, ...rest, ...person, ...roles }));
}
const report = (what: string) => console.log(`${what.padEnd(40)} ${rssMegabytes(server.pid).toFixed(0)} MB`);
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
await Promise.all([owner.end(), db.destroy(), server.stop()]);
await backends.stop();
process.exit();
