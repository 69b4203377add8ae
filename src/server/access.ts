// Who may call what. A method says so in the proto; one that does not cannot be called. Those of gRPC itself cannot say it.
import {
  type DescMessage,
  type DescMethod,
  type DescService,
  getOption,
  hasOption,
  isFieldSet,
  type Message,
} from '@bufbuild/protobuf';
import { Access, access as accessOption, field_access } from '../../gen/auth/v1/options_pb.ts';
import { Authorization } from '../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { ServerReflection } from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ServerReflectionAlpha } from '../../gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { Health } from '../../gen/health/v1/health_pb.ts';
import type { Deps } from '../deps.ts';
import { OWN_AUDIENCE } from '../domain/audience.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import type { Principal } from '../domain/principal.ts';
import { ADMIN_ROLE } from '../domain/role.ts';
import type { ServiceKeys } from '../keys/service-keys.ts';

export type AccessDeps = Pick<Deps, 'verifier' | 'limiter' | 'store' | 'apiKeys' | 'now'> & {
  serviceKeys: ServiceKeys;
};

/** They tell nothing that is a secret, or as Verify nothing but what a token says; probes, tools and Envoy have no credentials. */
const PUBLIC_SERVICES: DescService[] = [Health, ServerReflection, ServerReflectionAlpha, Authorization];

/** What a call shows of who makes it. */
export type Credentials = {
  /** Of `authorization: Bearer ...`; empty without. */
  bearer: string;
  /** The service that the certificate of the connection names, at this moment; or null. */
  peerService(): string | null;
};

export function accessOf(method: DescMethod): Access {
  return PUBLIC_SERVICES.includes(method.parent) ? Access.PUBLIC : getOption(method, accessOption);
}

/**
 * The caller, when they may; null for a PUBLIC method, whose callers nobody asks who they are.
 * @param what is called, for the audit event of a refusal
 * @throws AuthError CREDENTIALS_MISSING, PERMISSION_DENIED, or as the verifier does
 */
export async function authorize(
  deps: AccessDeps,
  access: Access,
  { bearer, peerService }: Credentials,
  what: string,
  call: Call,
): Promise<Principal | null> {
  if (access === Access.PUBLIC) return null;
  if (access === Access.UNSPECIFIED) throw new AuthError('PERMISSION_DENIED');
  // Whatever token a service passes on: that one is its user's.
  const certified = access === Access.SERVICE ? peerService() : null;
  if (certified !== null) return byConfiguration(certified);
  if (bearer === '') throw new AuthError('CREDENTIALS_MISSING');
  const principal = await identify(deps, bearer, call);
  if (mayCall(principal, access)) return principal;
  const caller = principal.kind === 'user' ? principal.userId : principal.name;
  const { allowed } = await deps.limiter.take('DENIED_AUDIT', caller);
  const denied = audit({ type: 'permission_denied', ...auditFields(principal, what), origin: call.origin });
  if (allowed) await deps.store.outbox.write(deps.now(), [denied]);
  throw new AuthError('PERMISSION_DENIED');
}

/** The same for each field of a request that is set and that not everybody may set. */
export async function authorizeFields(
  deps: AccessDeps,
  desc: DescMessage,
  message: Message,
  credentials: Credentials,
  call: Call,
): Promise<void> {
  for (const field of desc.fields) {
    if (!hasOption(field, field_access) || !isFieldSet(message, field)) continue;
    await authorize(deps, getOption(field, field_access), credentials, `${desc.typeName}.${field.name}`, call);
  }
}

function auditFields(principal: Principal, what: string) {
  if (principal.kind === 'service') return { detail: `${what} by service ${principal.name}` };
  return { userId: principal.userId, sessionId: principal.sessionId, detail: what };
}

async function identify(deps: AccessDeps, credential: string, call: Call): Promise<Principal> {
  const name = deps.serviceKeys.nameOf(credential);
  if (name !== null) return byConfiguration(name);
  const holder = await deps.apiKeys.open(credential, call);
  if (holder) return { kind: 'service', ...holder };
  const { principal, token } = await deps.verifier.verify(credential, OWN_AUDIENCE, call.signal);
  return principal.kind === 'service' ? { ...principal, keyId: token.sessionId } : principal;
}

/** One that has no account, and so no roles. */
function byConfiguration(name: string): Principal {
  return { kind: 'service', serviceAccountId: null, keyId: null, name, roles: [] };
}

function mayCall(principal: Principal, access: Access): boolean {
  const isUser = principal.kind === 'user';
  const isAdmin = principal.roles.includes(ADMIN_ROLE);
  switch (access) {
    case Access.USER:
      return isUser;
    case Access.SERVICE:
      return !isUser || isAdmin;
    case Access.ADMIN:
      return isAdmin;
    default:
      return false;
  }
}
