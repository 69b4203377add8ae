// Messages of failed calls that name the server and the remedy. A server of Latchkey explains its own errors; these are
// the failures before it, such as a closed port, another protocol or an unknown certificate.
import { Code, ConnectError, type Transport } from '@connectrpc/connect';
import type { Reason } from '../domain/error-reason.ts';
import { memberOf } from './failure-details.ts';
import { reasonOf } from './reason-of.ts';

const UNKNOWN_AUTHORITY =
  'the certificate of the server is from an unknown authority; set tls.ca to the certificate of its authority';
const NO_HTTP2 =
  'the server does not answer with HTTP/2, which gRPC requires; check the port, and whether a proxy in between uses HTTP/1.1 (then set transport to one of Connect over HTTP/1.1)';
const NOT_LATCHKEY = 'the answer is not from Latchkey; check the host, the port and the routes of proxies';
const UNREACHABLE = 'the host is unreachable; check the network and its firewalls';

/** Codes of Node and OpenSSL. */
const REMEDIES: Record<string, string> = {
  ECONNREFUSED: 'the connection is refused; check the port, and that the server runs',
  ENOTFOUND: 'the host name is unknown; check the URL',
  EAI_AGAIN: 'the host name cannot be resolved now; check the URL and the name server',
  ETIMEDOUT: UNREACHABLE,
  EHOSTUNREACH: UNREACHABLE,
  ENETUNREACH: UNREACHABLE,
  ERR_HTTP2_ERROR: NO_HTTP2,
  ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL: NO_HTTP2,
  ERR_SSL_WRONG_VERSION_NUMBER: 'the server does not use TLS on this port; use http://, or the port of TLS',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'the server does not use TLS on this port; use http://, or the port of TLS',
  ERR_TLS_CERT_ALTNAME_INVALID: 'the certificate of the server is for other names than the host in the URL',
  CERT_HAS_EXPIRED: 'the certificate of the server has expired',
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_AUTHORITY,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_AUTHORITY,
};
const CLIENT_CERTIFICATE = /^ERR_SSL_.*(CERTIFICATE_REQUIRED|BAD_CERTIFICATE|UNKNOWN_CA|CERTIFICATE_UNKNOWN)$/;

/** The transport to one server, with messages that name it. */
export function explaining(transport: Transport, url: string): Transport {
  return {
    async unary(method, signal, ...rest) {
      try {
        return await transport.unary(method, signal, ...rest);
      } catch (error) {
        throw explain(error, url, signal);
      }
    },
    async stream(method, signal, ...rest) {
      try {
        const answer = await transport.stream(method, signal, ...rest);
        return { ...answer, message: explainStream(answer.message, (error) => explain(error, url, signal)) };
      } catch (error) {
        throw explain(error, url, signal);
      }
    },
  };
}

export async function* explainStream<T>(
  messages: AsyncIterable<T>,
  explainError: (error: unknown) => unknown,
): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (error) {
    throw explainError(error);
  }
}

/** These reasons concern the credential of the call. */
const CREDENTIAL_REASONS: Reason[] = [
  'TOKEN_INVALID',
  'TOKEN_EXPIRED',
  'TOKEN_REVOKED',
  'TOKEN_STALE',
  'AUDIENCE_MISMATCH',
];

/** For a call whose credential was the service key. */
export function explainServiceKey(error: unknown, url: string): ConnectError {
  const failure = ConnectError.from(error);
  const reason = reasonOf(failure);
  if (reason === 'CREDENTIALS_MISSING')
    return withMessage(failure, `${originOf(url)} requires a service key; set serviceKey`);
  return reason !== null && CREDENTIAL_REASONS.includes(reason) ? rejectedKey(failure, url, reason) : failure;
}

function explain(error: unknown, url: string, signal: AbortSignal | undefined): ConnectError {
  const failure = ConnectError.from(error);
  const reason = reasonOf(failure);
  if (reason === 'SERVICE_KEY_INVALID') return rejectedKey(failure, url, reason);
  if (reason !== null || signal?.aborted) return failure;
  const [remedy, code] = remedyOf(failure);
  return remedy === null ? failure : withMessage(failure, `call to ${originOf(url)} failed: ${remedy}`, code);
}

function remedyOf(failure: ConnectError): [remedy: string | null, code: Code] {
  const { code, rawMessage } = failure;
  const cause = String(memberOf(failure.cause, 'code') ?? '');
  const known = Object.hasOwn(REMEDIES, cause) ? REMEDIES[cause] : undefined;
  // A client retries UNAVAILABLE. connect-node uses other codes for some of these.
  if (known) return [known, Code.Unavailable];
  if (CLIENT_CERTIFICATE.test(cause))
    return ['the server rejects the client certificate; check tls.cert and tls.key', Code.Unavailable];
  if (/^HTTP 404|^unsupported content type/.test(rawMessage)) return [NOT_LATCHKEY, Code.Unimplemented];
  if (/^HTTP \d+$/.test(rawMessage)) return [`a proxy answers with ${rawMessage}`, code];
  if (code === Code.Canceled)
    return ['the server closed the connection; if it uses TLS, the URL must begin with https://', Code.Unavailable];
  if (code === Code.DeadlineExceeded) return ['no answer within the deadline of the call', code];
  return [null, code];
}

function rejectedKey(failure: ConnectError, url: string, reason: Reason): ConnectError {
  const text = `the service key is rejected by ${originOf(url)} (${reason}); it must be one of the server's SERVICE_KEYS, or a valid API key`;
  return withMessage(failure, text);
}

/** The user information of a URL can hold a password. */
function originOf(url: string): string {
  return new URL(url).origin;
}

function withMessage(failure: ConnectError, message: string, code = failure.code): ConnectError {
  const explained = new ConnectError(message, code, failure.metadata, undefined, failure);
  explained.details.push(...failure.details);
  return explained;
}
