// Callers of Refresh over gRPC: each session has one call at a time, and some sessions share a connection.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { RefreshRequestSchema, RefreshResponseSchema } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { envelope } from '../support/raw.ts';
import { type Server, signIn } from './harness.ts';
import { GRPC_PREFIX_BYTES } from './loads.ts';
import { openRawClient, type RawClient } from './raw-client.ts';

export type RefreshLoad = {
  /** Each session refreshes again as soon as it has its answer. Returns the latency of each answer. */
  run(seconds: number): Promise<number[]>;
  close(): void;
};

type Session = { client: RawClient; refreshToken: string };

const CONNECTIONS = 4;
const REFRESH_PATH = '/latchkey.auth.v1.AuthService/Refresh';

/** @param count of sessions, each of a new user */
export async function openRefreshLoad(server: Server, count: number): Promise<RefreshLoad> {
  const clients = await Promise.all(
    Array.from({ length: CONNECTIONS }, () => openRawClient(server.port, REFRESH_PATH)),
  );
  const sessions: Session[] = [];
  for (let n = 0; n < count; n += 1) {
    const { refreshToken } = await signIn(server.url);
    sessions.push({ client: clients[n % CONNECTIONS] as RawClient, refreshToken });
  }
  return {
    async run(seconds) {
      const latenciesMs: number[] = [];
      const end = performance.now() + seconds * 1_000;
      await Promise.all(
        sessions.map(async (session) => {
          for (let now = performance.now(); now < end; ) {
            await refresh(session);
            const answeredAt = performance.now();
            if (answeredAt < end) latenciesMs.push(answeredAt - now);
            now = answeredAt;
          }
        }),
      );
      return latenciesMs;
    },
    close() {
      for (const client of clients) client.close();
    },
  };
}

async function refresh(session: Session): Promise<void> {
  const { client, refreshToken } = session;
  const body = envelope(toBinary(RefreshRequestSchema, create(RefreshRequestSchema, { refreshToken })));
  const answer = await new Promise<Buffer>((answered) => client.call(body, answered));
  const { tokens } = fromBinary(RefreshResponseSchema, answer.subarray(GRPC_PREFIX_BYTES));
  session.refreshToken = tokens?.refreshToken ?? '';
}
