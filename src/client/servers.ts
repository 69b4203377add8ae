// The servers that a client knows, with a connection to each. Owns their failures: a call is answered by the first server that
// can, and a connection that carries nothing is replaced.
import type { SecureContextOptions } from 'node:tls';
import { type Client, Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { AuthService } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { VerifierService } from '../../gen/latchkey/auth/v1/verifier_service_pb.ts';

export type Server = {
  auth: Pick<Client<typeof AuthService>, 'verify'>;
  verifier: Pick<Client<typeof VerifierService>, 'watch'>;
  /** Ends the connection, and whatever is under way on it. The next call makes a new one. */
  disconnect(): void;
};

/** A connection that a firewall has forgotten is noticed after both together. */
const PING_INTERVAL_MS = 5_000;
const PING_TIMEOUT_MS = 2_500;
/** A server that has not answered by then may be gone: the next one is called beside it. */
const HEDGE_AFTER_MS = 500;
const ANSWERS = [Code.Unauthenticated, Code.PermissionDenied, Code.InvalidArgument];

/** @throws TypeError when one is not a URL */
export function connectServers(
  urls: string[],
  tls: SecureContextOptions,
  transportTo?: (url: string) => Transport,
): Server[] {
  if (urls.length === 0) throw new TypeError('url must name at least one server');
  return urls.map((url) => {
    if (!/^https?:$/.test(URL.parse(url)?.protocol ?? ''))
      throw new TypeError('url must begin with http:// or https://');
    if (transportTo) return serverOf(transportTo(url), () => {});
    const pings = { pingIntervalMs: PING_INTERVAL_MS, pingTimeoutMs: PING_TIMEOUT_MS };
    const sessionManager = new Http2SessionManager(url, pings, tls);
    const reason = () => new ConnectError('the server has been silent for too long', Code.Unavailable);
    return serverOf(createGrpcTransport({ baseUrl: url, sessionManager }), () => sessionManager.abort(reason()));
  });
}

function serverOf(transport: Transport, disconnect: () => void): Server {
  return { auth: createClient(AuthService, transport), verifier: createClient(VerifierService, transport), disconnect };
}

/**
 * Calls the servers in their order until one answers: the next one when a server has failed, and beside it when it is slow.
 * A rejection of the request is an answer.
 */
export function firstAnswer<T>(
  servers: Server[],
  call: (server: Server, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const result = Promise.withResolvers<T>();
  let called = 0;
  let failed = 0;
  const callNext = () => {
    const server = servers[called];
    if (!server || over.signal.aborted) return;
    called += 1;
    const timer = setTimeout(callNext, HEDGE_AFTER_MS).unref();
    call(server, over.signal)
      .then(result.resolve, (error: unknown) => {
        failed += 1;
        if (isAnswer(error) || failed === servers.length) result.reject(error);
        else callNext();
      })
      .finally(() => clearTimeout(timer));
  };
  callNext();
  return result.promise.finally(() => over.abort());
}

function isAnswer(error: unknown): boolean {
  const { code } = ConnectError.from(error);
  return ANSWERS.includes(code) && ConnectError.from(error).findDetails(ErrorInfoSchema).length > 0;
}
