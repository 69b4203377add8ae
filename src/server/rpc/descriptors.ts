// GET /descriptors: the descriptor set of every service, for tools such as grpcurl. GRPC_REFLECTION does not affect it. Services and
// administrators receive it.
import { readFileSync } from 'node:fs';
import { ServerReflection } from '../../../gen/grpc/reflection/v1/reflection_pb.ts';
import { Access } from '../../../gen/latchkey/auth/v1/options_pb.ts';
import { AuthError } from '../../domain/auth-error.ts';
import type { CallLog } from '../calls/call-log.ts';
import { type CallDeps, type CallRecord, openCallRecord, slotHolder } from '../calls/call-record.ts';
import type { ConcurrencyLimit } from '../calls/concurrency-limit.ts';
import { answerError } from '../calls/errors.ts';
import { type FairSlots, holdUntilRead, whileWaiting } from '../calls/fair-slots.ts';
import { sendHttpError, stepUpHeader } from '../calls/write-error.ts';
import { sendMethodNotAllowed } from '../endpoints/get-routes.ts';
import type { Handler } from '../transport/handler.ts';
import type { ServerResponse } from '../transport/server-response.ts';
import { type AccessDeps, authorize } from './access.ts';
import type { ServesService } from './admin-services.ts';

type DescriptorsDeps = AccessDeps &
  CallDeps & { concurrencyLimit: ConcurrencyLimit; waiting: FairSlots; unread: FairSlots; callLog: CallLog };

const DESCRIPTORS_PATH = '/descriptors';
const FILE = new URL('../../../proto/latchkey.binpb', import.meta.url);
const TIMEOUT_MS = 5_000;

/**
 * Only where reflection is served, too.
 * @throws when the file is missing: a package or an image without it is incomplete
 */
export function createDescriptorsHandler(deps: DescriptorsDeps, serves: ServesService): Handler {
  if (!serves(ServerReflection.typeName)) return () => false;
  const content = readFileSync(FILE);
  return (request, response) => {
    if (request.path !== DESCRIPTORS_PATH) return false;
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      sendMethodNotAllowed(response, 'GET, HEAD');
      return true;
    }
    const record = openCallRecord(request, deps, DESCRIPTORS_PATH.slice(1), 'http');
    response.setHeader('x-request-id', record.requestId);
    request.onceClosed(() => deps.callLog.write(record, response.isSent));
    authorizeCaller(deps, record)
      .then(() => send(response, content))
      .catch((error: unknown) => reject(response, error, record))
      .finally(() => holdUntilRead(deps.unread, slotHolder(record), request));
    return true;
  };
}

async function authorizeCaller(deps: DescriptorsDeps, record: CallRecord): Promise<void> {
  if (record.authorization === null) throw new AuthError('CREDENTIALS_AMBIGUOUS');
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const release = deps.concurrencyLimit.acquire(record.address);
  const caller = authorize(deps, record, { access: Access.SERVICE, target: record.method, signal });
  record.principal = await whileWaiting(deps.waiting, slotHolder(record), caller).finally(release);
  record.code = 'ok';
}

function send(response: ServerResponse, content: Buffer): void {
  response.setHeader('content-type', 'application/protobuf');
  response.setHeader('content-disposition', 'attachment; filename="latchkey.binpb"');
  response.setHeader('cache-control', 'no-store');
  response.end(content);
}

function reject(response: ServerResponse, error: unknown, record: CallRecord): void {
  const failure = answerError(error, record);
  const required = error instanceof AuthError ? error.required : undefined;
  const challenge = required ? stepUpHeader(required) : 'Bearer realm="latchkey"';
  if (record.code === 'unauthenticated') response.setHeader('www-authenticate', challenge);
  sendHttpError(response, failure);
}
