import { ConnectError } from '@connectrpc/connect';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import type { Reason } from '../domain/error-reason.ts';

/** The reason of a failed call (`Reason` in errors.proto), or null for an error that no server of Latchkey has sent. */
export function reasonOf(error: unknown): Reason | null {
  const [info] = ConnectError.from(error).findDetails(ErrorInfoSchema);
  return info ? (info.reason as Reason) : null;
}
