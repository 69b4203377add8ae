// gRPC clients want a status of gRPC, also for what is not there.
import { setTrailerStatus } from '@connectrpc/connect/protocol-grpc';
import { AuthError } from '../../domain/auth-error.ts';
import type { CallLog } from '../calls/call-log.ts';
import { type CallDeps, openCallRecord } from '../calls/call-record.ts';
import { answerError } from '../calls/errors.ts';
import type { Handler } from '../transport/handler.ts';

/** Answers UNIMPLEMENTED, by headers alone, to a gRPC call that nothing else has answered. */
export function createUnknownGrpcMethodHandler(callLog: CallLog, deps: CallDeps): Handler {
  return (request, response) => {
    const contentType = request.headers['content-type'] ?? '';
    if (!contentType.startsWith('application/grpc')) return false;
    const record = openCallRecord(request, deps, '');
    response.once('close', () => callLog.write(record, response.writableFinished));
    const headers = new Headers({ 'content-type': contentType, 'x-request-id': record.requestId });
    setTrailerStatus(headers, answerError(new AuthError('UNIMPLEMENTED'), record));
    for (const [name, value] of headers) response.setHeader(name, value);
    response.statusCode = 200;
    response.end();
    return true;
  };
}
