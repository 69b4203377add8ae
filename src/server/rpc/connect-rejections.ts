// Connect rejects what it cannot read (invalid JSON, a message too large) before any interceptor runs: without a
// reason, and with a text that repeats parts of the request, which may be a password. This replaces its response.
import { Code, type ConnectError } from '@connectrpc/connect';
import type { UniversalServerResponse } from '@connectrpc/connect/protocol';
import { trailerFlag, trailerParse } from '@connectrpc/connect/protocol-grpc-web';
import { AuthError } from '../../domain/auth-error.ts';
import type { Reason } from '../../domain/error-reason.ts';
import type { CallRecord } from '../calls/call-record.ts';
import { answerError } from '../calls/errors.ts';
import { connectError, grpcError, grpcWebError } from '../calls/write-error.ts';

const ENVELOPE_PREFIX_BYTES = 5;
const CODES_OF_STATUS: Record<number, Code> = {
  405: Code.Unimplemented, // not POST
  415: Code.Unimplemented, // an unknown content-type
  429: Code.ResourceExhausted,
  501: Code.Unimplemented,
  504: Code.DeadlineExceeded,
};

/** More precise than Connect's status for the code. */
const KEPT_STATUSES = new Set([405, 415]);

export async function replaceRejection(
  answer: UniversalServerResponse,
  contentType: string,
  record: CallRecord,
): Promise<UniversalServerResponse> {
  if (contentType.startsWith('application/grpc-web')) return replaceGrpcWeb(answer, record);
  if (contentType.startsWith('application/grpc')) return replaceGrpc(answer, record);
  return replaceConnect(answer, record);
}

function replaceGrpc(answer: UniversalServerResponse, record: CallRecord): UniversalServerResponse {
  if (answer.trailer) grpcError(rejection(grpcCode(answer.trailer), record), answer.trailer);
  return answer;
}

async function replaceGrpcWeb(answer: UniversalServerResponse, record: CallRecord): Promise<UniversalServerResponse> {
  if (!answer.body) return answer;
  const frame = Buffer.concat(await Array.fromAsync(answer.body));
  const isPlainTrailer = frame[0] === trailerFlag;
  const trailer = isPlainTrailer ? trailerParse(frame.subarray(ENVELOPE_PREFIX_BYTES)) : new Headers();
  return { ...answer, body: once(grpcWebError(rejection(grpcCode(trailer), record), trailer).body) };
}

function replaceConnect(answer: UniversalServerResponse, record: CallRecord): UniversalServerResponse {
  if (answer.status === 200) return answer;
  const error = rejection(CODES_OF_STATUS[answer.status] ?? Code.InvalidArgument, record);
  const { status, headers, body } = connectError(error, KEPT_STATUSES.has(answer.status) ? answer.status : undefined);
  const header = new Headers(answer.header);
  header.delete('content-encoding');
  for (const [name, value] of headers) header.set(name, value);
  return { ...answer, status, header, body: once(body) };
}

/** Connect has read nothing but the request by then, so the request is at fault. */
function rejection(code: Code, record: CallRecord): ConnectError {
  const reasons: Partial<Record<Code, Reason>> = {
    [Code.ResourceExhausted]: 'MESSAGE_TOO_LARGE',
    [Code.Unimplemented]: 'UNIMPLEMENTED',
    [Code.DeadlineExceeded]: 'DEADLINE_EXCEEDED',
  };
  return answerError(new AuthError(reasons[code] ?? 'REQUEST_MALFORMED'), record);
}

function grpcCode(trailer: Headers): Code {
  return Number(trailer.get('grpc-status') ?? Code.InvalidArgument) as Code;
}

async function* once(bytes: Uint8Array | null): AsyncIterable<Uint8Array> {
  if (bytes) yield bytes;
}
