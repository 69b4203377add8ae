import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { beforeAll, expect, test } from 'vitest';
import { AdminService } from '../../gen/latchkey/auth/v1/admin_service_pb.ts';
import { startTestApp, testApp } from '../support/app.ts';
import { viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { registered, registeredCrowd, type SignedIn, signedIn, signedInWith } from '../support/people.ts';

const app = await testApp();
const { call } = app;
let boss: SignedIn;
beforeAll(async () => {
  boss = await signedInWith(app, call, ['admin']);
});

/** Collects events until it is stopped. */
function stream(afterSeq: bigint, more: object = {}, bearer = boss.accessToken) {
  const client = createClient(AdminService, createGrpcTransport({ baseUrl: app.url }));
  const abort = new AbortController();
  const seen: { seqs: bigint[]; cursor: bigint; error: unknown } = { seqs: [], cursor: afterSeq, error: null };
  const ended = (async () => {
    const options = { headers: { authorization: `Bearer ${bearer}` }, signal: abort.signal };
    try {
      for await (const { events, cursor } of client.streamAuditEvents({ afterSeq, ...more }, options)) {
        seen.seqs.push(...events.map(({ seq }) => seq));
        seen.cursor = cursor;
      }
    } catch (error) {
      if (!abort.signal.aborted) seen.error = error;
    }
  })();
  return {
    seen,
    async stop() {
      abort.abort();
      await ended;
      return seen;
    },
    ended,
  };
}

const last = async () => BigInt((await app.owner.query('SELECT seq FROM audit_chain')).rows[0].seq);

test('sends past and new events, each once and in order, also after a reconnect', async () => {
  await registeredCrowd(call, 130);
  const first = stream(0n);
  await eventually(() => first.seen.seqs.length > 100);
  const { cursor, seqs } = await first.stop();
  const second = stream(cursor);
  await registeredCrowd(call, 20);
  await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0);
  const end = await last();
  await eventually(() => second.seen.cursor === end);
  const all = [...seqs, ...(await second.stop()).seqs];
  expect(all).toEqual(Array.from({ length: Number(end) }, (_, n) => BigInt(n + 1)));
});

test('filters, and its cursor advances over other events', async () => {
  const person = await signedIn(call);
  await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0);
  const mine = stream(0n, { userId: person.userId });
  const end = await last();
  await eventually(() => mine.seen.cursor >= end);
  expect((await mine.stop()).seqs).toHaveLength(2);
});

test('filters by target and network, and rejects an invalid network', async () => {
  const { rows } = await app.owner.query<{ seq: string; target: string }>(
    "SELECT seq, target FROM audit_events WHERE type = 'signing_key_activated'",
  );
  const end = await last();
  const seqsOf = async (filter: object) => {
    const messages = stream(0n, filter);
    await eventually(() => messages.seen.cursor >= end);
    return (await messages.stop()).seqs.filter((seq) => seq <= end);
  };
  expect(await seqsOf({ target: rows[0]?.target })).toContain(BigInt(rows[0]?.seq ?? 0));
  expect((await seqsOf({ network: '127.0.0.0/8' })).length).toBeGreaterThan(100);
  expect(await seqsOf({ network: '10.0.0.0/8' })).toEqual([]);
  const rejected = stream(0n, { network: '10.0.0.0/33' });
  await rejected.ended;
  expect(String(rejected.seen.error)).toContain('invalid_argument');
});

test('finds the next matching event a million others later', async () => {
  const begin = await last();
  await app.owner.query('UPDATE audit_chain SET seq = seq + 1000000');
  const person = await signedIn(call);
  const mine = stream(begin, { userId: person.userId, network: '127.0.0.0/8' });
  await eventually(() => mine.seen.seqs.length === 2);
  expect((await mine.stop()).seqs.every((seq) => seq > begin + 1_000_000n)).toBe(true);
});

test('requires an administrator for as long as it runs', async () => {
  const person = await signedIn(call);
  const rejected = stream(0n, {}, person.accessToken);
  await rejected.ended;
  expect(String(rejected.seen.error)).toContain('permission_denied');
  const other = await signedInWith(app, call, ['admin']);
  const open = stream(await last(), {}, other.accessToken);
  await eventually(async () => {
    await app.owner.query("DELETE FROM user_roles WHERE user_id = $1 AND role = 'admin'", [other.userId]);
    return true;
  });
  await registered(call);
  await open.ended;
  expect(String(open.seen.error)).toContain('unauthenticated');
});

test('ends when the service stops', async () => {
  const short = await startTestApp();
  const askShort = viaFetch(short.url);
  const chief = await signedInWith(short, askShort, ['admin']);
  const client = createClient(AdminService, createGrpcTransport({ baseUrl: short.url }));
  const messages = client.streamAuditEvents({}, { headers: { authorization: `Bearer ${chief.accessToken}` } });
  const iterator = messages[Symbol.asyncIterator]();
  await iterator.next();
  const startedAt = performance.now();
  await short.close();
  expect(performance.now() - startedAt).toBeLessThan(8_000);
});
