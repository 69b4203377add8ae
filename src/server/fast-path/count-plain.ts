import { ERROR_REASONS, type Reason } from '../../domain/error-reason.ts';
import type { CallLog } from '../calls/call-log.ts';
import type { ClientAddress } from '../transport/client-address.ts';
import type { FastRequest } from '../transport/fast-handler.ts';

export type Counting = { callLog: CallLog; clientAddress: ClientAddress };

type PlainCall = {
  method: string;
  request: FastRequest;
  reason: Reason | '';
  requestId: string;
  /** The credential that was examined. */
  credential: string;
};

/** Counts a call of a plain HTTP endpoint. */
export function countPlain(
  { callLog, clientAddress }: Counting,
  { method, request, reason, requestId, credential }: PlainCall,
): void {
  const { headers, peer, openedAt } = request;
  callLog.count({
    method,
    system: 'http',
    startedAt: openedAt,
    peer: () => clientAddress(peer.address, headers.get('x-forwarded-for')),
    reason,
    requestId,
    code: reason === '' ? 'ok' : ERROR_REASONS[reason].code,
    header: (name) => headers.get(name),
    credential,
  });
}
