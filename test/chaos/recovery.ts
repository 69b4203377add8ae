// The state after a fault: when every kind of call succeeds again, when all effects are done, and whether the audit trail is whole.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { createChainVerifier } from '../../src/domain/audit-chain.ts';
import { createAuditTrail } from '../../src/store/audit-trail.ts';
import { openDatabase } from '../../src/store/postgres/database.ts';
import { auth } from '../support/clients.ts';
import { callOnce } from './client.ts';
import type { Kind } from './ledger.ts';
import { attempt, type Call, type Endpoint, type Load } from './load.ts';
import type { PostgresPair } from './postgres-pair.ts';

const LOOK_EVERY_MS = 200;
const RECOVERY_TIMEOUT_MS = 60_000;
/** A local verifier with an older revocation view does not follow. */
const FRESH_MS = 2_000;

/** Resolves with the milliseconds until both servers carry out every kind of call; null when they never do. */
export async function untilRecovered(load: Load, stalenessMs: () => number): Promise<number | null> {
  const startedAt = performance.now();
  while (performance.now() - startedAt < RECOVERY_TIMEOUT_MS) {
    const results = await Promise.all(load.servers.map((server) => carriesOutAll(load, server)));
    if (results.every(Boolean) && stalenessMs() < FRESH_MS) return performance.now() - startedAt;
    await sleep(LOOK_EVERY_MS);
  }
  return null;
}

/** One call of each kind, without a retry. */
async function carriesOutAll(load: Load, server: Endpoint): Promise<boolean> {
  const person = { email: `${randomUUID()}@people.example`, password: `pass phrase ${randomUUID()}` };
  const { email, password } = person;
  const facts: { email: string; userId?: string; sessionId?: string } = { email };
  const run = async (kind: Kind, call: Call) => {
    const operation = load.ledger.begin(kind, facts);
    const { body } = await attempt(load, operation, { ...call, endpoint: server, way: 'fresh' });
    return { operation, body };
  };
  const registered = await run('Register', { method: auth.register, input: { ...person, fullName: 'Grace Hopper' } });
  if (!registered.body) return false;
  facts.userId = registered.body.user.id;
  const login = await run('Login', { method: auth.login, input: { email, password } });
  if (!login.body) return false;
  const { accessToken, refreshToken } = login.body.tokens;
  facts.sessionId = JSON.parse(Buffer.from(accessToken.split('.')[1], 'base64url').toString()).sid;
  Object.assign(login.operation, facts);
  const requestId = load.ledger.newRequestId();
  const verified = await callOnce(server.port, { method: auth.verify, input: { accessToken }, requestId, alone: true });
  const reset = await run('RequestReset', { method: auth.requestReset, input: { email } });
  const refreshed = await run('Refresh', { method: auth.refresh, input: { refreshToken } });
  if (verified.code !== 'ok' || !reset.body || !refreshed.body) return false;
  const out = await run('Logout', { method: auth.logout, input: { refreshToken: refreshed.body.tokens.refreshToken } });
  return out.body !== undefined;
}

/** Waits until the outbox is empty. Returns the milliseconds it took and the effects that are left. */
export async function untilSettled(
  postgres: Pick<PostgresPair, 'primary'>,
  timeoutMs: number,
): Promise<{ tookMs: number; left: number; dead: number }> {
  const startedAt = performance.now();
  for (;;) {
    const [row] = await postgres.primary.query(
      'SELECT count(*)::int - count(dead_at)::int AS left, count(dead_at)::int AS dead FROM outbox',
    );
    const tookMs = performance.now() - startedAt;
    if (row.left === 0 || tookMs > timeoutMs) return { tookMs, ...row };
    await sleep(LOOK_EVERY_MS);
  }
}

/** The problems that `audit verify` reports. */
export async function brokenLinks({ primary }: Pick<PostgresPair, 'primary'>): Promise<string[]> {
  const options = { url: primary.url('latchkey'), poolSize: 1, statementTimeoutMs: 60_000 };
  await using db = openDatabase(options, () => {});
  const verifier = createChainVerifier([]);
  const end = await createAuditTrail(db).read(1_000, verifier.add);
  return verifier.finish(end).problems.map(({ seq, problem }) => `audit event ${seq} ${problem}`);
}
