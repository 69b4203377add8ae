// A service that calls for its users names their client, so that limits by network and the audit trail use the client
// and not the service. Its key is in `authorization`, or in `x-service-key` beside the token of a user.
import { AuthError } from '../../domain/auth-error.ts';
import { type CallRecord, plainUserAgent } from '../calls/call-record.ts';
import { plainAddress } from '../transport/client-address.ts';
import { type AccessDeps, mayNameClient } from './access.ts';
import { identifyByServiceKey } from './identify.ts';

const [ADDRESS, USER_AGENT] = ['x-client-address', 'x-client-user-agent'] as const;

/** @throws AuthError SERVICE_KEY_INVALID also when the call names no client: a key that is sent is checked */
export async function nameClient(
  deps: AccessDeps,
  record: CallRecord,
  { header, signal }: { header: Headers; signal: AbortSignal },
): Promise<void> {
  if (header.has(ADDRESS) || header.has(USER_AGENT)) {
    if (await mayNameClient(deps, record, { method: record.method, signal })) useNamedClient(record, header);
  } else await identifyByServiceKey(deps, record, signal);
}

function useNamedClient(record: CallRecord, header: Headers): void {
  const [address, userAgent] = [header.get(ADDRESS), header.get(USER_AGENT)];
  if (address !== null) {
    const plain = plainAddress(address);
    const violations = [{ field: ADDRESS, description: 'must be an IP address' }];
    if (plain === null) throw new AuthError('INVALID_ARGUMENT', { violations });
    record.address = plain;
  }
  if (userAgent !== null) record.userAgent = plainUserAgent(userAgent);
}
