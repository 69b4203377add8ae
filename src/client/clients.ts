import type { SecureContextOptions } from 'node:tls';
import { type DescMethod, getOption } from '@bufbuild/protobuf';
import { type Client, createClient, type Transport } from '@connectrpc/connect';
import { Access, access } from '../../gen/latchkey/auth/v1/options_pb.ts';
import { VerifierService } from '../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import { type CallDefaults, type Credential, presentOf, withDefaults } from './call-defaults.ts';
import { explaining, explainServiceKey, explainStream } from './explain-failure.ts';
import { connect } from './servers.ts';
import { type UserClients, userClients } from './user-clients.ts';

export type ClientsOptions = {
  /** URL of the server or of its load balancer, such as `http://localhost:8080`. */
  url: string;
  /**
   * One of SERVICE_KEYS, an API key, or the access token of a service; or a function that returns the present one
   * before each call.
   */
  serviceKey?: Credential;
  /** For https: certificate authorities to trust, and the client certificate with its key; PEM. */
  tls?: Pick<SecureContextOptions, 'ca' | 'cert' | 'key'>;
  /**
   * Deadline of a call that sets none, in milliseconds. Default 10,000, the longest that a server allows. Streams have
   * none.
   */
  timeoutMs?: number;
  /** Creates the transport, instead of gRPC over HTTP/2. */
  transport?: (url: string) => Transport;
};

/** A back end calls for this user. */
export type CalledFor = {
  /** Without it, the calls are those of an anonymous client: Register, Login and Refresh, for example. */
  accessToken?: string;
  /**
   * The IP address of the user's client: limits by network and the audit trail use it. Behind a proxy it is the address
   * that the proxy reports, and not that of the socket. Requires a service with the role `latchkey.on-behalf-of`.
   */
  clientAddress?: string;
  /** The user's `user-agent` header, for the list of sessions and the audit trail. */
  userAgent?: string;
};

export type Clients = UserClients & {
  verifier: Client<typeof VerifierService>;
  /** Clients that call for one user, on the same connection. The service key is sent beside the user's token. */
  forUser(user: CalledFor): UserClients;
  close(): void;
};

const TIMEOUT_MS = 10_000;

/**
 * Typed clients of all services, on one connection. A failed call throws a ConnectError; `reasonOf` reads its reason.
 * @throws TypeError when the URL is invalid
 */
export function createClients(options: ClientsOptions): Clients {
  const { url, tls = {}, timeoutMs = TIMEOUT_MS, serviceKey = '' } = options;
  const connection = options.transport
    ? { transport: explaining(options.transport(url), url), disconnect() {} }
    : connect(url, tls);
  const defaults: CallDefaults = {
    timeoutMs,
    async headers() {
      const key = await presentOf(serviceKey);
      return key === '' ? {} : { authorization: `Bearer ${key}` };
    },
  };
  const own = explainingKey(withDefaults(connection.transport, defaults), url);
  return {
    ...userClients(own),
    verifier: createClient(VerifierService, own),
    forUser: (user) =>
      userClients(
        withDefaults(connection.transport, {
          timeoutMs,
          headers: async () => headersFor(user, await presentOf(serviceKey)),
        }),
      ),
    close: connection.disconnect,
  };
}

/** A call whose credential is the service key. Public methods do not read it. */
function explainingKey(transport: Transport, url: string): Transport {
  const explain = (method: DescMethod, header: Parameters<Transport['unary']>[3]) => (error: unknown) => {
    const isByKey = getOption(method, access) !== Access.PUBLIC && !new Headers(header).has('authorization');
    throw isByKey ? explainServiceKey(error, url) : error;
  };
  return {
    unary: (method, signal, timeoutMs, header, ...rest) =>
      transport.unary(method, signal, timeoutMs, header, ...rest).catch(explain(method, header)),
    stream: (method, signal, timeoutMs, header, ...rest) =>
      transport.stream(method, signal, timeoutMs, header, ...rest).then(
        (answer) => ({
          ...answer,
          message: explainStream(answer.message, explain(method, header)),
        }),
        explain(method, header),
      ),
  };
}

function headersFor({ accessToken = '', clientAddress = '', userAgent }: CalledFor, key: string) {
  const headers: Record<string, string> = {};
  if (key !== '') headers['x-service-key'] = key;
  if (accessToken !== '') headers.authorization = `Bearer ${accessToken}`;
  if (clientAddress !== '') headers['x-client-address'] = clientAddress;
  if (userAgent !== undefined) headers['x-client-user-agent'] = printable(userAgent);
  return headers;
}

/** A header of gRPC holds ASCII only, and Node reads those of HTTP/1.1 as Latin-1. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?');
}
