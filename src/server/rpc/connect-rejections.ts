// Connect refuses what it cannot read (bad JSON, a message too large) before any interceptor runs: without a reason, and in
// a text that repeats parts of the request, which may be a password. This puts an answer of ours in its place.
import { Code, type ConnectError } from '@connectrpc/connect';
import { encodeEnvelope, type UniversalServerResponse } from '@connectrpc/connect/protocol';
import { codeToHttpStatus, errorToJsonBytes } from '@connectrpc/connect/protocol-connect';
import { setTrailerStatus } from '@connectrpc/connect/protocol-grpc';
import { trailerFlag, trailerParse, trailerSerialize } from '@connectrpc/connect/protocol-grpc-web';
import { AuthError } from '../../domain/auth-error.ts';
import type { Reason } from '../../domain/error-reason.ts';
import type { CallRecord } from '../calls/call-record.ts';
import { answerError } from '../calls/errors.ts';

const ENVELOPE_PREFIX_BYTES = 5;
/** Connect's HTTP statuses, as far as a refusal can have them. */
const CODES_OF_STATUS: Record<number, Code> = {
  405: Code.Unimplemented, // not POST
  415: Code.Unimplemented, // no content-type that is served
  429: Code.ResourceExhausted,
  501: Code.Unimplemented,
  504: Code.DeadlineExceeded,
};

/** They say more than the status that Connect has for the code. */
const KEPT_STATUSES = new Set([405, 415]);

/** @param contentType of the request, which tells the protocol */
export async function replaceRefusal(
  answer: UniversalServerResponse,
  contentType: string,
  record: CallRecord,
): Promise<UniversalServerResponse> {
  if (contentType.startsWith('application/grpc-web')) return replaceGrpcWeb(answer, record);
  if (contentType.startsWith('application/grpc')) return replaceGrpc(answer, record);
  return replaceConnect(answer, record);
}

function replaceGrpc(answer: UniversalServerResponse, record: CallRecord): UniversalServerResponse {
  if (answer.trailer) setTrailerStatus(answer.trailer, refusal(grpcCode(answer.trailer), record));
  return answer;
}

/** The status of gRPC-Web travels as the last frame of the body; of a refusal it is the only one. */
async function replaceGrpcWeb(answer: UniversalServerResponse, record: CallRecord): Promise<UniversalServerResponse> {
  if (!answer.body) return answer;
  const frame = Buffer.concat(await Array.fromAsync(answer.body));
  const isPlainTrailer = frame[0] === trailerFlag;
  const trailer = isPlainTrailer ? trailerParse(frame.subarray(ENVELOPE_PREFIX_BYTES)) : new Headers();
  setTrailerStatus(trailer, refusal(grpcCode(trailer), record));
  return { ...answer, body: once(encodeEnvelope(trailerFlag, trailerSerialize(trailer))) };
}

function replaceConnect(answer: UniversalServerResponse, record: CallRecord): UniversalServerResponse {
  if (answer.status === 200) return answer;
  const error = refusal(CODES_OF_STATUS[answer.status] ?? Code.InvalidArgument, record);
  const status = KEPT_STATUSES.has(answer.status) ? answer.status : codeToHttpStatus(error.code);
  const body = errorToJsonBytes(error, undefined);
  const header = new Headers(answer.header);
  header.delete('content-encoding');
  header.set('content-type', 'application/json');
  header.set('content-length', String(body.byteLength));
  return { ...answer, status, header, body: once(body) };
}

/** Only the request has been looked at by then, so whatever is wrong is wrong with it. */
function refusal(code: Code, record: CallRecord): ConnectError {
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

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}
