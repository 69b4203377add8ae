// Attackers that write HTTP/2 by hand. Meanwhile the calls of another client succeed, only slower.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AuthService } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import type { Mailbox } from '../../src/dev/mailbox.ts';
import { openTestMailbox, testEnvironment } from '../support/app.ts';
import { viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { ACK, PING, parseFrames } from '../support/frames.ts';
import {
  type Answer,
  type Attack,
  compression,
  floods,
  lingering,
  resetsOf,
  violations,
} from '../support/http2-attacks.ts';
import { scrape, sumOf } from '../support/metrics.ts';
import { type SignedIn, signedIn } from '../support/people.ts';
import { serve } from '../support/processes.ts';
import { http2Frame, rawConnection } from '../support/raw.ts';

/** Several connections send small attacks at once. */
const SMALL_BYTES = 16 * 1024;
const SEVERAL = 5;
const REPEATS = 3;
/** Rounds until the size of the heap is stable. */
const MAX_ROUNDS = 4;
const MAX_GROWTH_MIB = 60;
const CALLERS = 3;
const CALLS_EACH = 12;
const PING_FRAME = http2Frame(PING, 0, 0, Buffer.alloc(8));

let mailbox: Mailbox;
let server: Awaited<ReturnType<typeof serve>>;
let client: Client<typeof AuthService>;
let person: SignedIn;

beforeAll(async () => {
  mailbox = await openTestMailbox();
  server = await serve(await testEnvironment(mailbox, { METRICS_PORT: '0' }));
  client = createClient(AuthService, createGrpcTransport({ baseUrl: server.url }));
  person = await signedIn(viaFetch(server.url));
});
afterAll(async () => {
  server?.child.kill('SIGTERM');
  await server?.ended;
  await mailbox?.close();
});

describe.each([
  ['a flood', floods],
  ['what lingers', lingering],
  ['bad compression', compression],
  ['a breach of the protocol', violations],
])('%s is answered and harms no other client:', (_, attacks) => {
  test.each(attacks)(
    '%s',
    async (...attack) => {
      let isOver = false;
      const callOn = async () => {
        for (let calls = 0; !isOver || calls < CALLS_EACH; calls += 1) {
          const { principal } = await client.verify({ accessToken: person.accessToken });
          expect(principal?.userId).toBe(person.userId);
          await sleep(2);
        }
      };
      const attacked = attackUntilSettled(attack).finally(() => {
        isOver = true;
      });
      const [growth] = await Promise.all([attacked, ...Array.from({ length: CALLERS }, callOn)]);
      expect(growth).toBeLessThan(MAX_GROWTH_MIB);
      // Nothing of them is kept. A few connections belong to the other client.
      await eventually(async () => ((await look('latchkey_connections')) ?? 99) <= 5, 20_000);
      expect(server.child.exitCode).toBeNull();
    },
    90_000,
  );
});

test.each(['/latchkey.auth.v1.AuthService/Login', '/grpc.health.v1.Health/Check'])(
  'of thousands of streams of %s that are reset at once few are served',
  async (path) => {
    const labels = { rpc_method: path.slice(1) };
    const before = (await look('rpc_server_call_duration_seconds_count', labels)) ?? 0;
    for (let n = 0; n < REPEATS; n += 1)
      await strikeOnce((_, connection) => connection === 'closed', resetsOf(path), undefined);
    // Every stream that reaches Connect is counted, and each costs as much as a call.
    const served = ((await look('rpc_server_call_duration_seconds_count', labels)) ?? 0) - before;
    expect(served).toBeLessThan(REPEATS * 600);
  },
  60_000,
);

async function look(name: string, labels: Record<string, string> = {}): Promise<number | undefined> {
  const port = /"metrics_port":(\d+)/.exec(server.output())?.[1];
  return sumOf(await scrape(Number(port)), name, labels);
}

/** Growth of the server in the last round, in MiB. A leak grows in each round. */
async function attackUntilSettled(attack: Attack): Promise<number> {
  await strike(attack);
  let growth = Number.POSITIVE_INFINITY;
  for (let round = 0; round < MAX_ROUNDS && growth >= MAX_GROWTH_MIB; round += 1) {
    const before = memoryMib();
    for (let n = 0; n < REPEATS; n += 1) await strike(attack);
    growth = memoryMib() - before;
  }
  return growth;
}

async function strike([, answer, bytes, how]: Attack): Promise<void> {
  const count = bytes.length < SMALL_BYTES ? SEVERAL : 1;
  await Promise.all(Array.from({ length: count }, () => strikeOnce(answer, bytes, how)));
}

async function strikeOnce(answer: Answer, bytes: Buffer, how: Attack[3]): Promise<void> {
  const sent = how === 'leaves' ? bytes : Buffer.concat([bytes, PING_FRAME]);
  const { socket, received, closed } = rawConnection(Number(new URL(server.url).port), sent);
  let isClosed = false;
  void closed.then(() => {
    isClosed = true;
  });
  try {
    if (how === 'leaves') socket.end();
    if (how === 'unread') {
      socket.pause();
      await sleep(200);
      socket.resume();
    }
    await eventually(() => {
      const frames = parseFrames(Buffer.from(received(), 'latin1'));
      const isAlive = !isClosed && frames.some(({ type, flags }) => type === PING && flags === ACK);
      return answer(frames, isClosed ? 'closed' : isAlive ? 'alive' : 'unknown');
    }, 25_000);
  } finally {
    socket.destroy();
  }
}

function memoryMib(): number {
  const status = readFileSync(`/proc/${server.child.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}
