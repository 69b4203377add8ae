// Answers the few RPCs that gateways call for every request, before Connect: from memory, in one step, with the same
// bytes. This folder owns the decoding and encoding of these RPCs. It must not decide about tokens or roles, or use
// node:http and node:http2.
import { isAscii } from 'node:buffer';
import { bearerToken } from '../../domain/bearer-token.ts';
import { ERROR_REASONS, type Reason } from '../../domain/error-reason.ts';
import type { CallLog } from '../calls/call-log.ts';
import { chooseRequestId } from '../calls/call-record.ts';
import { formatTimeout, TIMEOUTS, type TimeoutHeader } from '../calls/deadlines.ts';
import { refusal } from '../calls/errors.ts';
import { checkJson } from '../calls/message-bounds.ts';
import { connectError, grpcError } from '../calls/write-error.ts';
import type { ServesService } from '../rpc/admin-services.ts';
import type { ClientAddress } from '../transport/client-address.ts';
import type { FastAnswer, FastHandler } from '../transport/fast-handler.ts';
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

type Served = { callLog: CallLog; clientAddress: ClientAddress; serves: ServesService };

export function createFastPath(deps: FastPathDeps & Served): FastHandler {
  const served = fastMethods(deps).filter(({ name }) => deps.serves(name.slice(0, name.indexOf('/'))));
  const methods = new Map(served.map((method) => [`/${method.name}`, method]));

  return (head) => {
    const method = methods.get(head.path);
    const known = method && head.method === 'POST' ? PROTOCOLS[head.header('content-type') ?? ''] : undefined;
    if (!method || !known) return null;
    const { protocol, isJson } = known;
    const encoding = head.header(protocol.encoding);
    const version = head.header('connect-protocol-version');
    const timeout = head.header(protocol.timeout);
    const timeoutMs = timeout === '' ? Number.POSITIVE_INFINITY : TIMEOUTS[protocol.timeout](timeout ?? '');
    const authorization = head.authorization();
    if ((encoding !== '' && encoding !== 'identity') || (version !== '' && version !== '1')) return null;
    if (!timeoutMs || authorization === null || head.host === '') return null;
    const credential = bearerToken(authorization);
    if (!method.mayCall(credential)) return null;
    // Pages need CORS headers, and only Connect checks services that call for users.
    if (HEADERS_FOR_CONNECT.some(head.hasHeader)) return null;
    const startedAt = performance.now();
    const deadline = startedAt + timeoutMs;
    const isGrpc = protocol === GRPC;
    const system = isGrpc ? 'grpc' : 'connectrpc';
    const { header } = head;
    // The body of gRPC contains its length. Other protocols must announce it.
    const announced = Number(head.header('content-length'));
    if (isGrpc ? !head.isHttp2 : !(announced > 0 && announced <= method.bounds.maxBytes)) return null;

    /** @param forwardedFor of the client, before the proxies of this call */
    const addressOf = (forwardedFor: string) => {
      const proxies = [forwardedFor, head.header('x-forwarded-for') ?? ''].filter((part) => part !== '');
      return deps.clientAddress(head.address(), proxies.join(','));
    };
    const peer = () => addressOf('');
    const caller = (): FastCaller => ({
      credential,
      requestId: head.header('x-request-id') ?? '',
      headersWith: head.headersWith,
    });
    const reject = (reason: Reason, credential?: string) => {
      const requestId = chooseRequestId(head.header('x-request-id'));
      const { code } = ERROR_REASONS[reason];
      deps.callLog.count({ method: method.name, system, startedAt, peer, reason, requestId, code, header, credential });
      return isGrpc ? rejectGrpc(reason, requestId) : rejectConnect(reason, requestId);
    };

    return {
      bodyLength: isGrpc ? (start) => envelopeLength(start, method.bounds.maxBytes) : () => announced,

      answer(body) {
        if (performance.now() >= deadline) return null;
        const outcome = isJson ? fromJson(method, body, caller()) : fromBinary(method, body, isGrpc, caller());
        if (!outcome) return null;
        if ('reason' in outcome) return reject(outcome.reason, outcome.credential);
        const reason = outcome.denial ?? '';
        const suggestedId = outcome.client ? outcome.client.requestId : head.header('x-request-id');
        const peer = () => addressOf(outcome.client?.forwardedFor ?? '');
        // A successful call is counted but not logged, so a new request id would be useless.
        const requestId = suggestedId === '' && reason === '' ? '' : chooseRequestId(suggestedId);
        const { credential } = outcome;
        const result = { reason, requestId, code: 'ok', header, credential } as const;
        deps.callLog.count({ method: method.name, system, startedAt, peer, ...result });
        if (isGrpc) return answerGrpc(outcome, requestId);
        return isJson
          ? answerConnect('application/json', outcome.json(), requestId)
          : answerConnect('application/proto', toBytes(outcome, 0), requestId);
      },

      // Connect would count the whole deadline from its own start.
      remainingTimeout() {
        const name = protocol.timeout;
        return timeout === '' ? null : { name, value: formatTimeout(name, deadline - performance.now()) };
      },

      rejectTruncated(body) {
        if (performance.now() >= deadline) return reject('DEADLINE_EXCEEDED');
        return reject(body ? 'REQUEST_MALFORMED' : 'UNIMPLEMENTED');
      },
    };
  };
}

/** Flags (0: not compressed), then the length of the message in four bytes. */
function envelopeLength(start: Buffer, maxBytes: number): number {
  if (start.length < ENVELOPE_BYTES) return ENVELOPE_BYTES;
  const length = start.readUInt32BE(1);
  return start[0] !== 0 || length > maxBytes ? -1 : ENVELOPE_BYTES + length;
}

function fromBinary(method: FastMethod, body: Buffer, isGrpc: boolean, caller: FastCaller): Reply | Rejected | null {
  if (!isGrpc) return method.binary(body, caller);
  return method.binary(body.subarray(ENVELOPE_BYTES), caller);
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

const OK_TRAILERS = { 'grpc-status': '0' };

function withRequestId(headers: string[], requestId: string): string[] {
  return requestId === '' ? headers : [...headers, 'x-request-id', requestId];
}

const GRPC_HEADERS = ['content-type', 'application/grpc+proto'];

function answerGrpc(reply: Reply, requestId: string): FastAnswer {
  const body = toBytes(reply, ENVELOPE_BYTES);
  body[0] = 0;
  body.writeUInt32BE(body.length - ENVELOPE_BYTES, 1);
  return { status: 200, headers: withRequestId(GRPC_HEADERS, requestId), body, trailers: OK_TRAILERS };
}

function answerConnect(contentType: string, body: Buffer | string, requestId: string): FastAnswer {
  const headers = ['cache-control', 'no-store', 'content-type', contentType, 'content-length', String(body.length)];
  return { status: 200, headers: withRequestId(headers, requestId), body, trailers: null };
}

function rejectGrpc(reason: Reason, requestId: string): FastAnswer {
  const { status, headers } = grpcError(refusal(reason, requestId));
  return {
    status,
    headers: withRequestId([...GRPC_HEADERS, ...headers.flat()], requestId),
    body: null,
    trailers: null,
  };
}

function rejectConnect(reason: Reason, requestId: string): FastAnswer {
  const { status, headers, body } = connectError(refusal(reason, requestId));
  const all = withRequestId(['cache-control', 'no-store', ...headers.flat()], requestId);
  return { status, headers: all, body: body && Buffer.from(body).toString('latin1'), trailers: null };
}
