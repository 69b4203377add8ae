// Authenticates the service that calls: by its key, its access token or its certificate, as VerifierService does.
import { Access } from '../../../gen/latchkey/auth/v1/options_pb.ts';
import { AuthError } from '../../domain/auth-error.ts';
import type { Principal } from '../../domain/principal.ts';
import type { CallRecord } from '../calls/call-record.ts';
import { type AccessDeps, authorize } from '../rpc/access.ts';
import type { ClientCredentials } from './client-credentials.ts';
import { insufficientClient, invalidClient } from './oauth-rejection.ts';

const MISSING = 'the client must send its service key or API key by Basic, by Bearer or as client_secret';

/** @throws OAuthRejection, or AuthError when the credentials cannot be checked now */
export async function authenticateClient(
  deps: AccessDeps,
  record: CallRecord,
  { id, secret, scheme }: ClientCredentials,
  signal: AbortSignal,
): Promise<Principal> {
  const presented = { ...record, bearer: secret, identified: null };
  const principal = await authorize(deps, presented, { access: Access.SERVICE, target: record.method, signal }).catch(
    (error: unknown) => {
      throw rejectionFor(error, scheme) ?? error;
    },
  );
  record.principal = principal;
  if (!principal || !isNamed(principal, id)) throw invalidClient('the client secret belongs to another client', scheme);
  return principal;
}

function rejectionFor(error: unknown, scheme: ClientCredentials['scheme']) {
  if (!(error instanceof AuthError)) return null;
  const { reason, required } = error;
  if (required) return insufficientClient(required, scheme);
  if (reason === 'CREDENTIALS_MISSING') return invalidClient(MISSING, scheme);
  if (reason === 'PERMISSION_DENIED') return invalidClient('the client is no service', scheme);
  if (!reason.startsWith('TOKEN_') && reason !== 'AUDIENCE_MISMATCH') return null;
  return invalidClient('the client secret must be a valid service key or API key', scheme);
}

function isNamed(principal: Principal, id: string): boolean {
  if (id === '') return true;
  return principal.kind === 'service' && (principal.name === id || principal.serviceAccountId === id);
}
