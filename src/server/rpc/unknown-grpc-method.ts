import { AuthError } from '../../domain/auth-error.ts';
import type { CallLog } from '../calls/call-log.ts';
import { type CallDeps, openCallRecord } from '../calls/call-record.ts';
import { answerError } from '../calls/errors.ts';
import { grpcError } from '../calls/write-error.ts';
import type { Handler } from '../transport/handler.ts';

/**
 * Answers UNIMPLEMENTED to a gRPC call that no other handler answers: gRPC clients require a gRPC status, not a 404.
 */
export function createUnknownGrpcMethodHandler(callLog: CallLog, deps: CallDeps): Handler {
  return (request, response) => {
    const contentType = request.headers.get('content-type');
    if (!contentType.startsWith('application/grpc')) return false;
    const record = openCallRecord(request, deps, '');
    request.onceClosed(() => callLog.write(record, response.isSent));
    const start = new Headers({ 'content-type': contentType, 'x-request-id': record.requestId });
    const { status, headers } = grpcError(answerError(new AuthError('UNIMPLEMENTED'), record), start);
    for (const [name, value] of headers) response.setHeader(name, value);
    response.statusCode = status;
    response.end();
    return true;
  };
}
