import type { Deps } from '../../deps.ts';
import { OWN_AUDIENCE } from '../../domain/audience.ts';
import { AuthError } from '../../domain/auth-error.ts';
import type { Principal, ServicePrincipal, UserPrincipal } from '../../domain/principal.ts';
import { ON_BEHALF_OF_ROLE, ROLES_READ_ROLE } from '../../domain/role.ts';
import type { CallRecord } from '../calls/call-record.ts';
import { serviceAt } from '../transport/peer.ts';
import { toCall } from './call-context.ts';

export type IdentifyDeps = Pick<Deps, 'verifier' | 'apiKeys' | 'serviceKeys'>;

export type Credentials = Pick<
  CallRecord,
  'bearer' | 'serviceKey' | 'peer' | 'isForwarded' | 'identified' | 'service' | 'address' | 'userAgent' | 'requestId'
>;

/** Credentials are checked again after this: a body can arrive much later than its headers, and a stream lasts. */
const RECHECK_AFTER_MS = 50;

/** @throws AuthError as the verifier does, or OVERLOADED */
export async function identify(deps: IdentifyDeps, record: Credentials, signal: AbortSignal): Promise<Principal> {
  const at = performance.now();
  if (record.identified && at - record.identified.at < RECHECK_AFTER_MS) return record.identified.principal;
  const principal = await principalOf(deps, record.bearer, { record, signal });
  record.identified = { principal, at };
  return principal;
}

/**
 * For PUBLIC methods. Null without an access token, and for a service that calls for users.
 * @throws AuthError as the verifier does
 */
export async function identifyUser(
  deps: IdentifyDeps,
  record: Credentials,
  signal: AbortSignal,
): Promise<UserPrincipal | null> {
  const principal = record.bearer === '' ? null : await identify(deps, record, signal);
  return principal?.kind === 'user' ? principal : null;
}

/** Null for users, anonymous callers and invalid tokens. */
export async function identifyService(
  deps: IdentifyDeps,
  record: Credentials,
  signal: AbortSignal,
): Promise<ServicePrincipal | null> {
  const certified = certifiedCaller(record);
  if (certified) return certified;
  return serviceOfBearer(deps, record, signal);
}

/**
 * Null without `x-service-key`.
 * @throws AuthError SERVICE_KEY_INVALID; CREDENTIALS_AMBIGUOUS when `authorization` identifies a service as well, or
 * the header has several values
 */
export async function identifyByServiceKey(
  deps: IdentifyDeps,
  record: Credentials,
  signal: AbortSignal,
): Promise<ServicePrincipal | null> {
  if (record.serviceKey === '') return null;
  if (record.serviceKey === null) throw new AuthError('CREDENTIALS_AMBIGUOUS');
  const at = performance.now();
  if (record.service && at - record.service.at < RECHECK_AFTER_MS) return record.service.principal;
  const principal = await principalOf(deps, record.serviceKey, { record, signal }).catch((error: unknown) => {
    if (isInvalidCredential(error)) throw new AuthError('SERVICE_KEY_INVALID');
    throw error;
  });
  if (principal.kind !== 'service') throw new AuthError('SERVICE_KEY_INVALID');
  if (await serviceOfBearer(deps, record, signal)) throw new AuthError('CREDENTIALS_AMBIGUOUS');
  record.service = { principal, at };
  return principal;
}

async function serviceOfBearer(
  deps: IdentifyDeps,
  record: Credentials,
  signal: AbortSignal,
): Promise<ServicePrincipal | null> {
  if (record.bearer === '') return null;
  try {
    const principal = await identify(deps, record, signal);
    return principal.kind === 'service' ? principal : null;
  } catch (error) {
    if (isInvalidCredential(error)) return null;
    throw error;
  }
}

function isInvalidCredential(error: unknown): boolean {
  return error instanceof AuthError && (error.reason.startsWith('TOKEN_') || error.reason === 'AUDIENCE_MISMATCH');
}

/** A proxy's certificate is not that of its clients. */
export function certifiedCaller({ peer, isForwarded }: Credentials): ServicePrincipal | null {
  const name = isForwarded ? null : serviceAt(peer);
  return name === null ? null : configuredService(name);
}

async function principalOf(
  deps: IdentifyDeps,
  credential: string,
  { record, signal }: { record: Credentials; signal: AbortSignal },
): Promise<Principal> {
  const key = deps.serviceKeys.use(credential);
  if (key) return { ...configuredService(key.name), keyFingerprint: key.fingerprint };
  const holder = await deps.apiKeys.lookUp(credential, toCall(record, signal));
  if (holder) return { kind: 'service', ...holder };
  const { principal, token } = await deps.verifier.verify(credential, OWN_AUDIENCE, signal);
  if (principal.kind === 'service') return { ...principal, keyId: token.sessionId };
  return { ...principal, refreshCounter: token.refreshCounter };
}

/** A configured service has no account; all have the same roles. */
function configuredService(name: string): ServicePrincipal {
  return { kind: 'service', serviceAccountId: null, keyId: null, name, roles: [ROLES_READ_ROLE, ON_BEHALF_OF_ROLE] };
}
