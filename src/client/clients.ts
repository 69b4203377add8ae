import type { SecureContextOptions } from 'node:tls';
import { type Client, createClient, type Transport } from '@connectrpc/connect';
import { AccountService } from '../../gen/latchkey/auth/v1/account_service_pb.ts';
import { AdminService } from '../../gen/latchkey/auth/v1/admin_service_pb.ts';
import { AuthService } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { VerifierService } from '../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import { connect } from './servers.ts';

export type ClientsOptions = {
  /** URL of the server or of its load balancer, such as `http://localhost:8080`. */
  url: string;
  /** A service key, an API key or an access token; or a function that returns the present one before each call. */
  credential?: string | (() => string | Promise<string>);
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

export type Clients = {
  auth: Client<typeof AuthService>;
  /** Its methods require the access token of a user: `{ headers: { authorization: `Bearer ${accessToken}` } }`. */
  account: Client<typeof AccountService>;
  verifier: Client<typeof VerifierService>;
  admin: Client<typeof AdminService>;
  close(): void;
};

const TIMEOUT_MS = 10_000;

/**
 * Typed clients of all services, on one connection. A failed call throws a ConnectError; `reasonOf` reads its reason.
 * @throws TypeError when the URL is invalid
 */
export function createClients(options: ClientsOptions): Clients {
  const { url, tls = {}, timeoutMs = TIMEOUT_MS, credential = '' } = options;
  const connection = options.transport ? { transport: options.transport(url), disconnect() {} } : connect(url, tls);
  const transport = withDefaults(connection.transport, timeoutMs, credential);
  return {
    auth: createClient(AuthService, transport),
    account: createClient(AccountService, transport),
    verifier: createClient(VerifierService, transport),
    admin: createClient(AdminService, transport),
    close: connection.disconnect,
  };
}

/** A call's own time-out and `authorization` header come first. */
function withDefaults(
  transport: Transport,
  defaultTimeoutMs: number,
  credential: NonNullable<ClientsOptions['credential']>,
): Transport {
  async function withCredential(init: Parameters<Transport['unary']>[3]): Promise<Headers> {
    const headers = new Headers(init);
    if (headers.has('authorization')) return headers;
    const present = typeof credential === 'string' ? credential : await credential();
    if (present !== '') headers.set('authorization', `Bearer ${present}`);
    return headers;
  }
  return {
    async unary(method, signal, timeoutMs, header, ...rest) {
      return transport.unary(method, signal, timeoutMs ?? defaultTimeoutMs, await withCredential(header), ...rest);
    },
    async stream(method, signal, timeoutMs, header, ...rest) {
      return transport.stream(method, signal, timeoutMs, await withCredential(header), ...rest);
    },
  };
}
