// The RPCs of the fast path in the forms of their protocols: gRPC over HTTP/2, and Connect with protobuf or JSON.
import { isAscii } from 'node:buffer';
import { bearerToken } from '../../domain/bearer-token.ts';
import { ERROR_REASONS, type Reason } from '../../domain/error-reason.ts';
import { HeaderBlock } from '../../http2/hpack/header-block.ts';
import type { CallLog } from '../calls/call-log.ts';
import { chooseRequestId } from '../calls/call-record.ts';
import { TIMEOUTS, type TimeoutHeader } from '../calls/deadlines.ts';
import { refusal } from '../calls/errors.ts';
import { checkJson } from '../calls/message-bounds.ts';
import { connectError, grpcError } from '../calls/write-error.ts';
import type { ServesService } from '../rpc/admin-services.ts';
import { soleAuthorization } from '../transport/authorization.ts';
import type { ClientAddress } from '../transport/client-address.ts';
import type { FastAnswer, FastCall, FastRequest } from '../transport/fast-handler.ts';
import type { RequestHead } from '../transport/server-stream.ts';
import type { FastEndpoint, PreparedRequest } from './fast-path.ts';
import {
  type FastCaller,
  type FastMethod,
  type FastPathDeps,
  fastMethods,
  type Rejected,
  type Reply,
} from './methods.ts';

type Protocol = {
  encoding: string;
  timeout: TimeoutHeader;
};

const HEADERS_FOR_CONNECT = ['origin', 'x-client-address', 'x-client-user-agent', 'x-service-key'];
const ENVELOPE_BYTES = 5;
const MAX_MEMBERS = 3;
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
  const headersWith = (prefix: string) =>
    headers.fields.filter(({ name }) => name.startsWith(prefix)).map(({ name }) => namedValues(headers, name));
  return { method, headers, isGrpc, isJson, timeoutMs, announced, credential, requestId, headersWith };
}

function namedValues(headers: RequestHead, name: string): [name: string, value: string] {
  return [name, headers.get(name)];
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
    if ('reason' in outcome) return this.#reject(outcome.reason, outcome.credential);
    const reason = outcome.denial ?? '';
    const suggestedId = outcome.client ? outcome.client.requestId : call.requestId;
    // A successful call is counted but not logged, so a new request id would be useless.
    const requestId = suggestedId === '' && reason === '' ? '' : chooseRequestId(suggestedId);
    const { client, credential } = outcome;
    this.#count({ reason, requestId, code: 'ok', credential, forwardedFor: client?.forwardedFor ?? '' });
    if (call.isGrpc) return answerGrpc(outcome, requestId);
    return call.isJson
      ? answerConnect('application/json', Buffer.from(outcome.json(), 'latin1'), requestId)
      : answerConnect('application/proto', toBytes(outcome, 0), requestId);
  }

  rejectTruncated(body: Buffer): FastAnswer {
    if (this.#isTooLate()) return this.#reject('DEADLINE_EXCEEDED');
    return this.#reject(body.length > 0 ? 'REQUEST_MALFORMED' : 'UNIMPLEMENTED');
  }

  #isTooLate(): boolean {
    const { timeoutMs } = this.#call;
    return timeoutMs < Number.POSITIVE_INFINITY && performance.now() >= this.#request.openedAt + timeoutMs;
  }

  #reject(reason: Reason, credential?: string): FastAnswer {
    const requestId = chooseRequestId(this.#call.requestId);
    this.#count({ reason, requestId, code: ERROR_REASONS[reason].code, credential, forwardedFor: '' });
    return this.#call.isGrpc ? rejectGrpc(reason, requestId) : rejectConnect(reason, requestId);
  }

  #count({ reason, requestId, code, credential, forwardedFor }: Counted): void {
    const { method, isGrpc, headers } = this.#call;
    const { peer, openedAt: startedAt } = this.#request;
    const { callLog, clientAddress } = this.#deps;
    callLog.count({
      method: method.name,
      system: isGrpc ? 'grpc' : 'connectrpc',
      startedAt,
      peer: () => clientAddress(peer.address, joined(forwardedFor, headers.get('x-forwarded-for'))),
      reason,
      requestId,
      code,
      header: (name) => headers.get(name),
      credential,
    });
  }
}

/** @param forwardedFor of the client, before the proxies of this call */
type Counted = {
  reason: Reason | '';
  requestId: string;
  code: string;
  credential: string | undefined;
  forwardedFor: string;
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

function answerGrpc(reply: Reply, requestId: string): FastAnswer {
  const body = toBytes(reply, ENVELOPE_BYTES);
  body[0] = 0;
  body.writeUInt32BE(body.length - ENVELOPE_BYTES, 1);
  const head = requestId === '' ? GRPC_HEAD : new HeaderBlock(200, withRequestId(GRPC_FIELDS, requestId));
  return { head, body, trailers: OK_TRAILERS };
}

function answerConnect(contentType: string, body: Buffer, requestId: string): FastAnswer {
  const headers = ['cache-control', 'no-store', 'content-type', contentType, 'content-length', String(body.length)];
  return { head: new HeaderBlock(200, withRequestId(headers, requestId)), body, trailers: null };
}

function rejectGrpc(reason: Reason, requestId: string): FastAnswer {
  const { status, headers } = grpcError(refusal(reason, requestId));
  const all = withRequestId([...GRPC_FIELDS, ...headers.flat()], requestId);
  return { head: new HeaderBlock(status, all), body: null, trailers: null };
}

function rejectConnect(reason: Reason, requestId: string): FastAnswer {
  const { status, headers, body } = connectError(refusal(reason, requestId));
  const all = withRequestId(['cache-control', 'no-store', ...headers.flat()], requestId);
  return { head: new HeaderBlock(status, all), body, trailers: null };
}
