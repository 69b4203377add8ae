// The calls of a soak: valid and rejected ones over each protocol, connections that come and go, and resets.
import { once } from 'node:events';
import http2 from 'node:http2';
import { VERIFY_PATH } from '../bench/contenders.ts';
import type { Load, Server } from '../bench/harness.ts';
import { check, createLoads } from '../bench/loads.ts';
import { openRawClient, type RawClient } from '../bench/raw-client.ts';
import { rawConnection, rawStream } from '../support/raw.ts';

/** Calls with a pause after each. A wrong answer rejects. */
export type SoakLoad = { name: string; pauseMs: number; call(): Promise<unknown> };

const PAUSE_MS = 4;
/** Below the 200 resets a second that a connection may send. */
const RESET_PAUSE_MS = 20;
const CONNECTION_PAUSE_MS = 40;
const INVALID_TOKENS = 500;
const SHORT_BODY_BYTES = 1_000_000;

export async function openSoakLoads(
  server: Server,
  accessToken: string,
): Promise<{ loads: SoakLoad[]; close(): void }> {
  const loads = createLoads(accessToken);
  const verifier = await openRawClient(server.port, VERIFY_PATH);
  const envoy = await openRawClient(server.port, loads.extAuthz.path);
  const session = http2.connect(server.url);
  const invalidLoads = Array.from({ length: INVALID_TOKENS }, (_, n) => createLoads(`invalid.token.${n}`));
  let next = 0;
  const invalid = () => invalidLoads[next++ % INVALID_TOKENS] as ReturnType<typeof createLoads>;
  const steady: Record<string, SoakLoad['call']> = {
    'Verify over gRPC': () => callOver(verifier, loads.verify, true),
    'rejected Verify over gRPC': () => callOver(verifier, invalid().verify, false),
    ext_authz: () => callOver(envoy, loads.extAuthz, true),
    'forward auth': () => check(server, loads.forwardAuth),
    'rejected forward auth': () => checkRejected(server, invalid().forwardAuth),
    'Verify in JSON': () => check(server, loads.json),
    'rejected Verify in JSON': () => checkRejected(server, invalid().json),
  };
  const connections: Record<string, SoakLoad['call']> = {
    'connections of gRPC': () => check(server, loads.verify),
    'connections of HTTP/1.1': () => callOnce(server),
    'lost connections of HTTP/2': () => loseHttp2(server, loads.verify),
    'lost connections of HTTP/1.1': () => loseHttp1(server),
  };
  const resets = { 'reset streams': () => reset(session, loads.verify) };
  const withPause = (pauseMs: number, calls: Record<string, SoakLoad['call']>) =>
    Object.entries(calls).map(([name, call]) => ({ name, pauseMs, call }));
  return {
    loads: [
      ...withPause(PAUSE_MS, steady),
      ...withPause(CONNECTION_PAUSE_MS, connections),
      ...withPause(RESET_PAUSE_MS, resets),
    ],
    close() {
      verifier.close();
      envoy.close();
      session.destroy();
    },
  };
}

function callOver(client: RawClient, { path, body }: Load, isAccepted: boolean): Promise<unknown> {
  return new Promise<void>((resolve, reject) => {
    const wrong = () => reject(new Error(`${path} ${isAccepted ? 'rejected a valid' : 'accepted an invalid'} token`));
    client.call(body as Buffer, isAccepted ? () => resolve() : wrong, isAccepted ? wrong : resolve);
  });
}

async function checkRejected({ url }: Server, { path, body, headers }: Load): Promise<void> {
  const response = await fetch(url + path, {
    method: body ? 'POST' : 'GET',
    headers,
    ...(body && { body: new Uint8Array(body) }),
  });
  await response.text();
  if (response.status !== 401) throw new Error(`${path} answered an invalid token with ${response.status}`);
}

async function callOnce({ port }: Server): Promise<void> {
  const connection = rawConnection(port, 'GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n');
  await connection.closed;
  if (!connection.received().startsWith('HTTP/1.1 200')) throw new Error(`/healthz answered ${connection.received()}`);
}

/** Disconnects beside a call whose answer is on its way and one whose message is not complete. */
async function loseHttp2({ url }: Server, { path, body }: Load): Promise<void> {
  const session = http2.connect(url);
  session.on('error', () => {});
  await once(session, 'remoteSettings');
  rawStream(session, path).stream.end(body);
  const { stream } = rawStream(session, path);
  await new Promise((resolve) => stream.write((body as Buffer).subarray(0, -1), resolve));
  session.destroy();
}

async function loseHttp1({ port }: Server): Promise<void> {
  const head = `POST ${VERIFY_PATH} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n`;
  const { socket } = rawConnection(port, `${head}content-length: ${SHORT_BODY_BYTES}\r\n\r\n{"accessToken":`);
  await once(socket, 'connect');
  await new Promise(setImmediate);
  socket.destroy();
}

async function reset(session: http2.ClientHttp2Session, { path, body }: Load): Promise<void> {
  const { stream, closed } = rawStream(session, path);
  await new Promise((resolve) => stream.write((body as Buffer).subarray(0, -1), resolve));
  stream.close(http2.constants.NGHTTP2_CANCEL);
  await closed;
}
