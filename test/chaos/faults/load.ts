// Faults caused by other clients and by the amount of work.
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { auth, verifierService } from '../../support/clients.ts';
import { SETUP } from '../administrator.ts';
import { callOnce } from '../client.ts';
import type { Fault, FaultContext } from '../fault.ts';
import type { ServiceNode } from '../service-node.ts';

const STORM = { rounds: 12, callsEach: 100, everyMs: 500 };
const IDLE_CONNECTIONS = 2_000;
const SLOW_READERS = 100;
const BACKLOG = 20_000;
const CALLS_OF_A_SLOW_READER = 200;

/** Sign-ins with wrong passwords, for accounts outside the load. */
async function storm({ load, note }: FaultContext): Promise<void> {
  const codes = new Map<string, number>();
  const call = async (n: number) => {
    const input = { email: `storm-${n}@people.example`, password: 'a wrong pass phrase' };
    const requestId = `${load.ledger.prefix}${SETUP}`;
    const { code } = await callOnce(load.servers[n % 2]?.port ?? 0, { method: auth.login, input, requestId });
    codes.set(code, (codes.get(code) ?? 0) + 1);
  };
  for (let round = 0; round < STORM.rounds; round += 1) {
    load.beside(Promise.all(Array.from({ length: STORM.callsEach }, (_, n) => call(n))).then(() => {}));
    await sleep(STORM.everyMs);
  }
  note(`answers to the storm: ${[...codes].map(([code, count]) => `${count} ${code}`).join(', ')}`);
}

/** Opens connections one after the other and calls back for each. */
async function openConnections(
  context: FaultContext,
  count: number,
  begin: (socket: Socket) => void,
): Promise<Socket[]> {
  const [server] = context.deployment.servers;
  const sockets: Socket[] = [];
  context.afterwards(async () => closeAll(sockets));
  for (let n = 0; n < count; n += 1) {
    const socket = connect(portBehind(server), '127.0.0.1');
    socket.on('error', () => {});
    await new Promise<void>((resolve) => socket.once('connect', resolve).once('close', () => resolve()));
    begin(socket);
    sockets.push(socket);
  }
  return sockets;
}

/** Bypasses the cable, which would read the responses that the client leaves unread. */
function portBehind({ front }: ServiceNode): number {
  return front.target;
}

function closeAll(sockets: Socket[]): void {
  for (const socket of sockets) socket.destroy();
}

function requestOf(path: string, body: string): string {
  return `POST /${path} HTTP/1.1\r\nhost: chaos\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}

/** Sends many calls at once and reads no response. */
function neverRead(socket: Socket): void {
  socket.pause();
  const path = `${auth.verify.parent.typeName}/${auth.verify.name}`;
  socket.write(requestOf(path, JSON.stringify({ accessToken: 'x'.repeat(1_000) })).repeat(CALLS_OF_A_SLOW_READER));
}

/** Sends the head of a call and half of its body. */
function neverFinish(socket: Socket): void {
  const path = `${verifierService.watch.parent.typeName}/${verifierService.watch.name}`;
  socket.write(requestOf(path, '{"cursor": ""}').slice(0, -5));
}

/** Waiting events, as after a night without a worker. */
async function addBacklog({ deployment, load }: FaultContext): Promise<void> {
  await deployment.postgres.primary.query(
    `INSERT INTO outbox (id, topic, payload, created_at)
      SELECT uuidv7(), 'audit', jsonb_build_object('type', 'refreshed', 'origin',
        jsonb_build_object('address', '', 'userAgent', '', 'requestId', $1::text)), now()
      FROM generate_series(1, $2::int)`,
    [`${load.ledger.prefix}${SETUP}`, BACKLOG],
  );
}

export const loadFaults: Fault[] = [
  {
    name: 'login-storm',
    does: 'strangers begin 200 sign-ins a second for six seconds',
    holdSeconds: 0,
    inject: storm,
    heal: async () => {},
  },
  {
    name: 'idle-connections',
    does: 'a client opens 2,000 connections and sends nothing',
    inject: async (context) => void (await openConnections(context, IDLE_CONNECTIONS, () => {})),
    heal: async () => {},
  },
  {
    name: 'slow-readers',
    does: 'a hundred clients send 200 calls each and read no answer',
    inject: async (context) => void (await openConnections(context, SLOW_READERS, neverRead)),
    heal: async () => {},
  },
  {
    name: 'slow-senders',
    does: 'a hundred clients send half a call',
    inject: async (context) => void (await openConnections(context, SLOW_READERS, neverFinish)),
    heal: async () => {},
  },
  {
    name: 'backlog',
    does: '20,000 audit events wait',
    inject: addBacklog,
    heal: async () => {},
    settleSeconds: 300,
  },
  {
    name: 'month-without-partition',
    does: 'the audit trail reaches a month that has no partition',
    inject: async ({ deployment }) => {
      const { primary } = deployment.postgres;
      await primary.query("UPDATE audit_chain SET recorded_at = now() + interval '1 year'");
      await sleep(3_000);
      await primary.query('SELECT ensure_audit_partitions()');
    },
    heal: async ({ deployment, note }) => {
      const [{ count }] = await deployment.postgres.primary.query('SELECT count(*) FROM audit_events_default');
      note(`${count} events are in the default partition`);
    },
    destroys: true,
  },
];
