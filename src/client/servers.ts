// Connections to the servers of one deployment. Owns their failures: the first server that is available answers a
// call, and a silent connection is replaced. Decides nothing about tokens.
import type { SecureContextOptions } from 'node:tls';
import { type Client, Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { AuthService } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { VerifierService } from '../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import { explaining, explainServiceKey, explainStream } from './explain-failure.ts';

export type Server = {
  auth: Pick<Client<typeof AuthService>, 'verify'>;
  verifier: Pick<Client<typeof VerifierService>, 'watch'>;
  disconnect(): void;
};

/** A connection that a firewall dropped silently is detected after the sum of the two. */
const PING_INTERVAL_MS = 5_000;
const PING_TIMEOUT_MS = 2_500;
/**
 * A session that has failed emits its error when its socket closes, after the call has failed. Without a listener the
 * error ends the process, and the manager has none after `abort`.
 */
const ERROR_EMITTED_AFTER_MS = 50;
/** A server that has not answered by then may be unreachable, so the next server is called as well. */
const HEDGE_AFTER_MS = 500;
const ANSWERS = [Code.Unauthenticated, Code.PermissionDenied, Code.InvalidArgument];

export type Connection = { transport: Transport; disconnect(): void };

export function connect(url: string, tls: SecureContextOptions): Connection {
  assertHttpUrl(url);
  const pings = { pingIntervalMs: PING_INTERVAL_MS, pingTimeoutMs: PING_TIMEOUT_MS };
  const sessionManager = new Http2SessionManager(url, pings, tls);
  const reason = () => new ConnectError('the server has been silent for too long', Code.Unavailable);
  return {
    transport: explaining(createGrpcTransport({ baseUrl: url, sessionManager }), url),
    disconnect: () => void setTimeout(() => sessionManager.abort(reason()), ERROR_EMITTED_AFTER_MS).unref(),
  };
}

/** @throws TypeError when there is no URL, or one is not of http or https */
export function connectServers(
  urls: string[],
  tls: SecureContextOptions,
  transportTo?: (url: string) => Transport,
): Server[] {
  if (urls.length === 0) throw new TypeError('url must name at least one server');
  urls.forEach(assertHttpUrl);
  return urls.map((url) =>
    serverOf(url, transportTo ? { transport: explaining(transportTo(url), url), disconnect() {} } : connect(url, tls)),
  );
}

function assertHttpUrl(url: string): void {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw new TypeError('url must begin with http:// or https://');
}

function serverOf(url: string, { transport, disconnect }: Connection): Server {
  const verifier = createClient(VerifierService, transport);
  return {
    auth: createClient(AuthService, transport),
    verifier: {
      watch: (...request) => explainStream(verifier.watch(...request), (error) => explainServiceKey(error, url)),
    },
    disconnect,
  };
}

/**
 * Calls the next server when one has failed, and in parallel when one is slow. A rejection of the request is an answer.
 */
export async function firstAnswer<T>(
  servers: Server[],
  call: (server: Server, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const finished = new AbortController();
  let called = 0;
  let failed = 0;
  const answer = new Promise<T>((resolve, reject) => {
    const callNext = () => {
      const server = servers[called];
      if (!server || finished.signal.aborted) return;
      called += 1;
      const timer = setTimeout(callNext, HEDGE_AFTER_MS).unref();
      call(server, finished.signal)
        .then(resolve, (error: unknown) => {
          failed += 1;
          if (isAnswer(error) || failed === servers.length) reject(error);
          else callNext();
        })
        .finally(() => clearTimeout(timer));
    };
    callNext();
  });
  return answer.finally(() => finished.abort());
}

function isAnswer(error: unknown): boolean {
  const { code } = ConnectError.from(error);
  return ANSWERS.includes(code) && ConnectError.from(error).findDetails(ErrorInfoSchema).length > 0;
}
