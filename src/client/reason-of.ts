import { ConnectError } from '@connectrpc/connect';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { ERROR_DOMAIN, type Reason } from '../domain/error-reason.ts';

/** The reason of a failed call (`Reason` in errors.proto), or null for an error that no server of Latchkey has sent. */
export function reasonOf(error: unknown): Reason | null {
  const infos = ConnectError.from(error).findDetails(ErrorInfoSchema);
  const info = infos.find(({ domain }) => domain === ERROR_DOMAIN);
  return info ? (info.reason as Reason) : null;
}
