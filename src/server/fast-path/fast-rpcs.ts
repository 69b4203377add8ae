// The RPCs of the fast path in the forms of their protocols: gRPC over HTTP/2, and Connect with protobuf or JSON.
import { isAscii } from 'node:buffer';
import { AuthError } from '../../domain/auth-error.ts';
import { bearerToken } from '../../domain/bearer-token.ts';
import { ERROR_REASONS, type Reason } from '../../domain/error-reason.ts';
import { HeaderBlock } from '../../http2/hpack/header-block.ts';
import type { CallLog } from '../calls/call-log.ts';
import { chooseRequestId } from '../calls/call-record.ts';
import { TIMEOUTS, type TimeoutHeader } from '../calls/deadlines.ts';
import { toConnectError } from '../calls/errors.ts';
import { checkJson } from '../calls/message-bounds.ts';
import { connectError, grpcError } from '../calls/write-error.ts';
import { METADATA_PREFIX } from '../gateway/check-request.ts';
import type { ServesService } from '../rpc/admin-services.ts';
import { soleAuthorization } from '../transport/authorization.ts';
import type { ClientAddress } from '../transport/client-address.ts';
import type { FastAnswer, FastCall, FastRequest } from '../transport/fast-handler.ts';
import type { RequestHead } from '../transport/server-stream.ts';
import { ENVELOPE_BYTES, type FastCaller, type FastMethod, type Rejected, type Reply } from './fast-method.ts';
import type { FastEndpoint, PreparedRequest } from './fast-path.ts';
import { type FastPathDeps, fastMethods } from './methods.ts';

type Protocol = {
  encoding: string;
  timeout: TimeoutHeader;
};

const HEADERS_FOR_CONNECT = ['origin', 'x-client-address', 'x-client-user-agent', 'x-service-key'];
const MAX_MEMBERS = 5;
const GRPC: Protocol = { encoding: 'grpc-encoding', timeout: 'grpc-timeout' };
const CONNECT: Protocol = { encoding: 'content-encoding', timeout: 'connect-timeout-ms' };
const PROTOCOLS: Record<string, { protocol: Protocol; isJson: boolean }> = {
  'application/grpc': { protocol: GRPC, isJson: false },
  'application/grpc+proto': { protocol: GRPC, isJson: false },
  'application/proto': { protocol: CONNECT, isJson: false },
  'application/json': { protocol: CONNECT, isJson: true },
};

type Served = { callLog: CallLog; clientAddress: ClientAddress };

/** All that the head of a call decides. */
type Prepared = FastCaller & {
  method: FastMethod;
  headers: RequestHead;
  isGrpc: boolean;
  isJson: boolean;
  timeoutMs: number;
  /** The announced length of the body. -1 for gRPC, whose body contains its length. */
  announced: number;
};

export function createFastRpcs(deps: FastPathDeps & Served, serves: ServesService): FastEndpoint {
  const served = fastMethods(deps).filter(({ name }) => serves(name.slice(0, name.indexOf('/'))));
  const methods = new Map(served.map((method) => [`/${method.name}`, method]));

  return {
    serves: (path) => methods.has(path),

    prepare(headers, isHttp2) {
      const method = methods.get(headers.path);
      const prepared = method ? prepareCall(method, headers, isHttp2) : null;
      return prepared && new PreparedCall(deps, prepared);
    },
  };
}

function prepareCall(method: FastMethod, headers: RequestHead, isHttp2: boolean): Prepared | null {
  const known = headers.method === 'POST' ? PROTOCOLS[headers.get('content-type')] : undefined;
  if (!known) return null;
  const { protocol, isJson } = known;
  const encoding = headers.get(protocol.encoding);
  const version = headers.get('connect-protocol-version');
  const timeout = headers.get(protocol.timeout);
  const timeoutMs = timeout === '' ? Number.POSITIVE_INFINITY : TIMEOUTS[protocol.timeout](timeout);
  const authorization = soleAuthorization(headers);
  if ((encoding !== '' && encoding !== 'identity') || (version !== '' && version !== '1')) return null;
  if (!timeoutMs || authorization === null || headers.host === '') return null;
  // Pages need CORS headers, and only Connect checks services that call for users.
  if (HEADERS_FOR_CONNECT.some((name) => headers.has(name))) return null;
  const isGrpc = protocol === GRPC;
  const announced = isGrpc ? -1 : headers.contentLength;
  if (isGrpc ? !isHttp2 : !(announced > 0 && announced <= method.bounds.maxBytes)) return null;
  const credential = bearerToken(authorization);
  const requestId = headers.get('x-request-id');
  let requirements: [name: string, value: string][] | null = null;
  return {
    ...{ method, headers, isGrpc, isJson, timeoutMs, announced, credential, requestId },
    requirements() {
      requirements ??= headersWith(headers, METADATA_PREFIX);
      return requirements;
    },
  };
}

function headersWith(headers: RequestHead, prefix: string): [name: string, value: string][] {
  const names = new Set(headers.fields.map(({ name }) => name).filter((name) => name.startsWith(prefix)));
  return [...names].map((name) => [name, headers.get(name)]);
}

class PreparedCall implements PreparedRequest {
  readonly deps: Served;
  readonly call: Prepared;

  constructor(deps: Served, call: Prepared) {
    this.deps = deps;
    this.call = call;
  }

  begin(request: FastRequest): FastCall | null {
    if (request.isComplete || !this.call.method.mayCall(this.call.credential)) return null;
    return new FastRpc(this.deps, this.call, request);
  }
}

class FastRpc implements FastCall {
  readonly #deps: Served;
  readonly #call: Prepared;
  readonly #request: FastRequest;

  constructor(deps: Served, call: Prepared, request: FastRequest) {
    this.#deps = deps;
    this.#call = call;
    this.#request = request;
  }

  bodyLength(start: Buffer): number {
    const { announced, method } = this.#call;
    return announced < 0 ? envelopeLength(start, method.bounds.maxBytes) : announced;
  }

  answer(body: Buffer): FastAnswer | null {
    const call = this.#call;
    if (this.#isTooLate()) return null;
    const outcome = call.isJson ? fromJson(call.method, body, call) : fromBinary(call, body);
    if (!outcome) return null;
    if ('reason' in outcome)
      return this.#reject(new AuthError(outcome.reason, { required: outcome.required }), outcome.credential);
    const reason = outcome.denial ?? '';
    const { client, credential } = outcome;
    // A successful call is counted but not logged, so a new request id would be useless.
    const isIdNeeded = call.requestId !== '' || reason !== '';
    const requestId = client ? client.requestId : isIdNeeded ? chooseRequestId(call.requestId) : '';
    this.#count({ reason, requestId, code: 'ok', credential, forwardedFor: client?.forwardedFor });
    if (call.isGrpc) return answerGrpc(outcome, requestId);
    return call.isJson
      ? answerConnect('application/json', Buffer.from(outcome.json(), 'latin1'), requestId)
      : answerConnect('application/proto', toBytes(outcome, 0), requestId);
  }

  rejectTruncated(body: Buffer): FastAnswer {
    if (this.#isTooLate()) return this.#reject(new AuthError('DEADLINE_EXCEEDED'));
    return this.#reject(new AuthError(body.length > 0 ? 'REQUEST_MALFORMED' : 'UNIMPLEMENTED'));
  }

  #isTooLate(): boolean {
    const { timeoutMs } = this.#call;
    return timeoutMs < Number.POSITIVE_INFINITY && performance.now() >= this.#request.openedAt + timeoutMs;
  }

  #reject(error: AuthError, credential?: string): FastAnswer {
    const { reason } = error;
    const requestId = chooseRequestId(this.#call.requestId);
    this.#count({ reason, requestId, code: ERROR_REASONS[reason].code, credential });
    return this.#call.isGrpc ? rejectGrpc(error, requestId) : rejectConnect(error, requestId);
  }

  #count({ reason, requestId, code, credential, forwardedFor }: Counted): void {
    const { method, isGrpc, headers } = this.#call;
    const { peer, openedAt: startedAt } = this.#request;
    const { callLog, clientAddress } = this.#deps;
    callLog.count({
      method: method.name,
      system: isGrpc ? 'grpc' : 'connectrpc',
      startedAt,
      peer: () => clientAddress(peer.address, joined(forwardedFor?.() ?? '', headers.get('x-forwarded-for'))),
      reason,
      requestId,
      code,
      header: (name) => headers.get(name),
      credential,
    });
  }
}

/** `forwardedFor` is of the client, before the proxies of this call. */
type Counted = {
  reason: Reason | '';
  requestId: string;
  code: string;
  credential: string | undefined;
  forwardedFor?: (() => string) | undefined;
};

function joined(...parts: string[]): string {
  return parts.filter((part) => part !== '').join(',');
}

/** Flags (0: not compressed), then the length of the message in four bytes. */
function envelopeLength(start: Buffer, maxBytes: number): number {
  if (start.length < ENVELOPE_BYTES) return ENVELOPE_BYTES;
  const length = start.readUInt32BE(1);
  return start[0] !== 0 || length > maxBytes ? -1 : ENVELOPE_BYTES + length;
}

function fromBinary(call: Prepared, body: Buffer): Reply | Rejected | null {
  return call.method.binary(body, call.isGrpc ? ENVELOPE_BYTES : 0, call);
}

function fromJson(method: FastMethod, body: Buffer, caller: FastCaller): Reply | Rejected | null {
  if (!isAscii(body)) return null;
  const text = body.toString('latin1');
  // JSON.parse accepts repeated members, also with another spelling of the name.
  if (text.includes('\\')) return null;
  try {
    checkJson(body, method.bounds.maxFields);
    const message: unknown = JSON.parse(text);
    if (typeof message !== 'object' || message === null || Array.isArray(message)) return null;
    const names = Object.keys(message);
    // Each name is searched in the whole text. No message of the fast path has more.
    if (names.length > MAX_MEMBERS) return null;
    return names.every((name) => isOnce(text, `"${name}"`)) ? method.json(message, caller) : null;
  } catch {
    return null;
  }
}

function isOnce(text: string, part: string): boolean {
  return text.indexOf(part) === text.lastIndexOf(part);
}

function toBytes(reply: Reply, reserve: number): Buffer {
  const bytes = Buffer.allocUnsafe(reserve + reply.size());
  reply.write(bytes, reserve);
  return bytes;
}

const GRPC_FIELDS = ['content-type', 'application/grpc+proto'];
const GRPC_HEAD = new HeaderBlock(200, GRPC_FIELDS);
const OK_TRAILERS = new HeaderBlock(null, ['grpc-status', '0']);

function withRequestId(headers: string[], requestId: string): string[] {
  return requestId === '' ? headers : [...headers, 'x-request-id', requestId];
}

function envelope(reply: Reply): Buffer {
  const bytes = toBytes(reply, ENVELOPE_BYTES);
  bytes[0] = 0;
  bytes.writeUInt32BE(bytes.length - ENVELOPE_BYTES, 1);
  return bytes;
}

function answerGrpc(reply: Reply, requestId: string): FastAnswer {
  const body = reply.envelope ?? envelope(reply);
  const head = requestId === '' ? GRPC_HEAD : GRPC_HEAD.with('x-request-id', requestId);
  return { head, body, trailers: OK_TRAILERS };
}

function answerConnect(contentType: string, body: Buffer, requestId: string): FastAnswer {
  const headers = ['cache-control', 'no-store', 'content-type', contentType, 'content-length', String(body.length)];
  return { head: new HeaderBlock(200, withRequestId(headers, requestId)), body, trailers: null };
}

function rejectGrpc(error: AuthError, requestId: string): FastAnswer {
  const { status, headers } = grpcError(toConnectError(error, requestId));
  const all = withRequestId([...GRPC_FIELDS, ...headers.flat()], requestId);
  return { head: new HeaderBlock(status, all), body: null, trailers: null };
}

function rejectConnect(error: AuthError, requestId: string): FastAnswer {
  const { status, headers, body } = connectError(toConnectError(error, requestId));
  const all = withRequestId(['cache-control', 'no-store', ...headers.flat()], requestId);
  return { head: new HeaderBlock(status, all), body, trailers: null };
}
