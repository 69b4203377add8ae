// The few RPCs that a gateway asks about every request, answered before Connect's router: from memory, in one step, with the
// same bytes. Knows nothing of node:http or node:http2: src/server/transport brings requests in and answers out.
import { isAscii } from 'node:buffer';
import type { ConnectError } from '@connectrpc/connect';
import { codeToHttpStatus, errorToJsonBytes } from '@connectrpc/connect/protocol-connect';
import { setTrailerStatus } from '@connectrpc/connect/protocol-grpc';
import { bearerToken } from '../../domain/bearer-token.ts';
import { ERROR_REASONS, type Reason } from '../../domain/error-reason.ts';
import type { CallLog } from '../calls/call-log.ts';
import { chooseRequestId } from '../calls/call-record.ts';
import { TIMEOUTS } from '../calls/deadlines.ts';
import { refusal } from '../calls/errors.ts';
import { checkJson } from '../calls/message-bounds.ts';
import type { ClientAddress } from '../transport/client-address.ts';
import type { FastAnswer, FastHandler } from '../transport/fast-handler.ts';
import { type FastMethod, type FastPathDeps, fastMethods, type Refused, type Said } from './methods.ts';

type Protocol = {
  /** Names of request headers. */
  encoding: string;
  timeout: keyof typeof TIMEOUTS;
};

/** Headers with which a call is left to Connect. */
const MORE_WORK = ['origin', 'x-client-address', 'x-client-user-agent'];
const ENVELOPE_BYTES = 5;
const MAX_MEMBERS = 2;
const GRPC: Protocol = { encoding: 'grpc-encoding', timeout: 'grpc-timeout' };
const CONNECT: Protocol = { encoding: 'content-encoding', timeout: 'connect-timeout-ms' };
const PROTOCOLS: Record<string, { protocol: Protocol; isJson: boolean }> = {
  'application/grpc': { protocol: GRPC, isJson: false },
  'application/grpc+proto': { protocol: GRPC, isJson: false },
  'application/proto': { protocol: CONNECT, isJson: false },
  'application/json': { protocol: CONNECT, isJson: true },
};

export function createFastPath(deps: FastPathDeps & { callLog: CallLog; clientAddress: ClientAddress }): FastHandler {
  const methods = new Map(fastMethods(deps).map((method) => [`/${method.name}`, method]));

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
    // Pages want more headers; and whether a caller may name the client of its own is for the other path to check.
    if (MORE_WORK.some((name) => head.header(name) !== '')) return null;
    const startedAt = performance.now();
    const isGrpc = protocol === GRPC;
    const system = isGrpc ? 'grpc' : 'connectrpc';
    const { header } = head;
    // gRPC tells the length in the body itself; of anything else it must be known.
    const announced = Number(head.header('content-length'));
    if (isGrpc ? !head.isHttp2 : !(announced > 0 && announced <= method.bounds.maxBytes)) return null;

    const peer = () => deps.clientAddress(head.address(), head.header('x-forwarded-for') ?? '');
    const refuse = (reason: Reason) => {
      const requestId = chooseRequestId(head.header('x-request-id'));
      const { code } = ERROR_REASONS[reason];
      deps.callLog.count({ method: method.name, system, startedAt, peer, reason, requestId, code, header });
      return isGrpc ? refuseGrpc(reason, requestId) : refuseConnect(reason, requestId);
    };

    return {
      bodyLength: isGrpc ? (start) => envelopeLength(start, method.bounds.maxBytes) : () => announced,

      answer(body) {
        if (performance.now() - startedAt >= timeoutMs) return null;
        const outcome = isJson ? fromJson(method, body, credential) : fromBinary(method, body, isGrpc, credential);
        if (!outcome) return null;
        if ('reason' in outcome) return refuse(outcome.reason);
        const reason = outcome.denial ?? '';
        const suggestedId = head.header('x-request-id');
        // A call that succeeds is counted and not logged, so an id of ours would lead nowhere.
        const requestId = suggestedId === '' && reason === '' ? '' : chooseRequestId(suggestedId);
        deps.callLog.count({ method: method.name, system, startedAt, peer, reason, requestId, code: 'ok', header });
        if (isGrpc) return answerGrpc(outcome, requestId);
        return isJson
          ? answerConnect('application/json', outcome.json(), requestId)
          : answerConnect('application/proto', toBytes(outcome, 0), requestId);
      },

      rejectTruncated: (body) => refuse(body ? 'REQUEST_MALFORMED' : 'UNIMPLEMENTED'),
    };
  };
}

/** Flags (0: not compressed), then the length of the message in four bytes. */
function envelopeLength(start: Buffer, maxBytes: number): number {
  if (start.length < ENVELOPE_BYTES) return ENVELOPE_BYTES;
  const length = start.readUInt32BE(1);
  return start[0] !== 0 || length > maxBytes ? -1 : ENVELOPE_BYTES + length;
}

function fromBinary(method: FastMethod, body: Buffer, isGrpc: boolean, credential: string): Said | Refused | null {
  if (!isGrpc) return method.binary(body, credential);
  return method.binary(body.subarray(ENVELOPE_BYTES), credential);
}

function fromJson(method: FastMethod, body: Buffer, credential: string): Said | Refused | null {
  if (!isAscii(body)) return null;
  const text = body.toString('latin1');
  // What JSON.parse passes over: members that come twice, also under another spelling.
  if (text.includes('\\')) return null;
  try {
    checkJson(body, method.bounds.maxFields);
    const message: unknown = JSON.parse(text);
    if (typeof message !== 'object' || message === null || Array.isArray(message)) return null;
    const names = Object.keys(message);
    // Each is looked for in the whole text, so there must be few; no message here has more.
    if (names.length > MAX_MEMBERS) return null;
    return names.every((name) => isOnce(text, `"${name}"`)) ? method.json(message, credential) : null;
  } catch {
    return null;
  }
}

function isOnce(text: string, part: string): boolean {
  return text.indexOf(part) === text.lastIndexOf(part);
}

/** @param reserve bytes before the message */
function toBytes(said: Said, reserve: number): Buffer {
  const bytes = Buffer.allocUnsafe(reserve + said.size());
  said.write(bytes, reserve);
  return bytes;
}

const OK_TRAILERS = { 'grpc-status': '0' };

function withRequestId(headers: string[], requestId: string): string[] {
  return requestId === '' ? headers : [...headers, 'x-request-id', requestId];
}

const GRPC_HEADERS = ['content-type', 'application/grpc+proto'];

function answerGrpc(said: Said, requestId: string): FastAnswer {
  const body = toBytes(said, ENVELOPE_BYTES);
  body[0] = 0;
  body.writeUInt32BE(body.length - ENVELOPE_BYTES, 1);
  return { status: 200, headers: withRequestId(GRPC_HEADERS, requestId), body, trailers: OK_TRAILERS };
}

function answerConnect(contentType: string, body: Buffer | string, requestId: string): FastAnswer {
  const headers = ['cache-control', 'no-store', 'content-type', contentType, 'content-length', String(body.length)];
  return { status: 200, headers: withRequestId(headers, requestId), body, trailers: null };
}

/** Headers alone carry the status when there is nothing else ("Trailers-Only"). */
function refuseGrpc(reason: Reason, requestId: string): FastAnswer {
  const status = new Headers();
  setTrailerStatus(status, refusal(reason, requestId));
  const headers = withRequestId([...GRPC_HEADERS, ...[...status].flat()], requestId);
  return { status: 200, headers, body: null, trailers: null };
}

function refuseConnect(reason: Reason, requestId: string): FastAnswer {
  const error: ConnectError = refusal(reason, requestId);
  const body = Buffer.from(errorToJsonBytes(error, undefined)).toString();
  return { ...answerConnect('application/json', body, requestId), status: codeToHttpStatus(error.code) };
}
