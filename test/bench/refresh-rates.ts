// Refreshes a second of the service of today beside those of an earlier commit, each with a Postgres and a Redis of its own. Everything
// shares both cores.
import { resolve } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { RefreshRequestSchema, RefreshResponseSchema } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { envelope } from '../support/raw.ts';
import { checkOutBaseline } from './baseline.ts';
import { median, pause, pin, resume, SERVER_CORE, type Server, signIn, startBackends, startNode } from './harness.ts';
import { GRPC_PREFIX_BYTES } from './loads.ts';
import { openRawClient, type RawClient } from './raw-client.ts';

const SESSIONS = 64;
const CONNECTIONS = 4;
const WARM_UP_SECONDS = 0.5;

type Session = { client: RawClient; refreshToken: string };
type Side = { server: Server; sessions: Session[]; perSecond: number[]; stop(): Promise<void> };

/** `ratio` is null in a clone without the earlier commit. */
export async function refreshRates(rounds: number, seconds: number): Promise<{ rate: number; ratio: number | null }> {
  pin(process.pid, null);
  const today = await openSide('.');
  const folder = await checkOutBaseline();
  const before = folder === null ? null : await openSide(folder);
  const sides = before ? [today, before] : [today];
  for (let round = -1; round < rounds; round += 1) {
    for (const { server, sessions, perSecond } of sides) {
      await resume(server);
      await refreshAll(sessions, WARM_UP_SECONDS);
      const rate = await refreshAll(sessions, seconds);
      pause(server);
      if (round >= 0) perSecond.push(rate);
    }
  }
  for (const side of sides) await side.stop();
  pin(process.pid, SERVER_CORE);
  const ratios = before && today.perSecond.map((rate, round) => rate / (before.perSecond[round] as number));
  return { rate: median(today.perSecond), ratio: ratios && median(ratios) };
}

/** @param folder of the sources of the service */
async function openSide(folder: string): Promise<Side> {
  const { prepareDatabase } = await import(resolve(folder, 'src/store/postgres/prepare-database.ts'));
  const backends = await startBackends(prepareDatabase);
  const server = await startNode([resolve(folder, 'src/main.ts'), 'serve'], backends.environment, null);
  const clients = await Promise.all(
    Array.from({ length: CONNECTIONS }, () => openRawClient(server.port, '/latchkey.auth.v1.AuthService/Refresh')),
  );
  const sessions: Session[] = [];
  for (let n = 0; n < SESSIONS; n += 1) {
    const { refreshToken } = await signIn(server.url);
    sessions.push({ client: clients[n % CONNECTIONS] as RawClient, refreshToken });
  }
  pause(server);
  return {
    server,
    sessions,
    perSecond: [],
    async stop() {
      for (const client of clients) client.close();
      await server.stop();
      await backends.stop();
    },
  };
}

/** Each session refreshes again as soon as it has its answer. Returns the refreshes a second. */
async function refreshAll(sessions: Session[], seconds: number): Promise<number> {
  const end = performance.now() + seconds * 1_000;
  let done = 0;
  await Promise.all(
    sessions.map(async (session) => {
      while (performance.now() < end) {
        await refresh(session);
        if (performance.now() < end) done += 1;
      }
    }),
  );
  return done / seconds;
}

async function refresh(session: Session): Promise<void> {
  const { client, refreshToken } = session;
  const body = envelope(toBinary(RefreshRequestSchema, create(RefreshRequestSchema, { refreshToken })));
  const answer = await new Promise<Buffer>((answered) => client.call(body, answered));
  const { tokens } = fromBinary(RefreshResponseSchema, answer.subarray(GRPC_PREFIX_BYTES));
  session.refreshToken = tokens?.refreshToken ?? '';
}
