// The proto names the access of each method. A method without one cannot be called.
import { type DescMessage, type DescMethod, type DescService, getOption, type Message } from '@bufbuild/protobuf';
import { Authorization } from '../../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { ServerReflection } from '../../../gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ServerReflectionAlpha } from '../../../gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { Health } from '../../../gen/health/v1/health_pb.ts';
import { Access, access as accessOption } from '../../../gen/latchkey/auth/v1/options_pb.ts';
import type { Deps } from '../../deps.ts';
import { type RequiredStrength, stepUpForRole } from '../../domain/acr.ts';
import { AuthError } from '../../domain/auth-error.ts';
import { audit } from '../../domain/effect.ts';
import { keyName, type Principal, subjectName, type UserPrincipal } from '../../domain/principal.ts';
import { type Requirement, unmetReason } from '../../domain/requirement.ts';
import { ADMIN_ROLE, ON_BEHALF_OF_ROLE, ROLES_READ_ROLE } from '../../domain/role.ts';
import { noteForLog } from '../../process/log-context.ts';
import { toCall } from './call-context.ts';
import { requiredAccess } from './field-access.ts';
import {
  type Credentials,
  certifiedCaller,
  type IdentifyDeps,
  identify,
  identifyByServiceKey,
  identifyService,
} from './identify.ts';

export type AccessDeps = IdentifyDeps & Pick<Deps, 'limiter' | 'store' | 'now'> & ReflectionAccess;

/** Without public reflection, services and administrators can use it. */
export type ReflectionAccess = { hasPublicReflection: boolean };

/**
 * These services return no secret: only the content of a token that the caller has. Probes, tools and Envoy have no
 * credentials.
 */
const PUBLIC_SERVICES: DescService[] = [Health, Authorization];
const REFLECTION_SERVICES: DescService[] = [ServerReflection, ServerReflectionAlpha];

const REQUIREMENTS: Record<Access, Requirement[]> = {
  [Access.UNSPECIFIED]: [],
  [Access.PUBLIC]: [],
  [Access.USER]: [{ kind: 'user' }],
  [Access.SERVICE]: [{ kind: 'service' }, { role: ADMIN_ROLE }],
  [Access.ADMIN]: [{ role: ADMIN_ROLE }],
  [Access.ROLES_READER]: [{ kind: 'service', role: ROLES_READ_ROLE }, { role: ADMIN_ROLE }],
};

/** Access by the certificate of the connection. Elsewhere the token in the call is that of a user of the service. */
const BY_CERTIFICATE: Access[] = [Access.SERVICE, Access.ROLES_READER];

export function accessOf({ hasPublicReflection }: ReflectionAccess, method: DescMethod): Access {
  if (REFLECTION_SERVICES.includes(method.parent)) return hasPublicReflection ? Access.PUBLIC : Access.SERVICE;
  return PUBLIC_SERVICES.includes(method.parent) ? Access.PUBLIC : accessInProto(method);
}

const inProto = new Map<DescMethod, Access>();

/** protobuf-es decodes an option each time it is read. */
function accessInProto(method: DescMethod): Access {
  const access = inProto.get(method) ?? getOption(method, accessOption);
  inProto.set(method, access);
  return access;
}

/**
 * Null for PUBLIC access, which identifies no caller.
 * @param target method or field, for the audit event of a denial
 * @throws AuthError CREDENTIALS_MISSING, STEP_UP_REQUIRED, PERMISSION_DENIED, or as the verifier does
 */
export async function authorize(
  deps: AccessDeps,
  record: Credentials,
  { access, target, signal }: { access: Access; target: string; signal: AbortSignal },
): Promise<Principal | null> {
  if (access === Access.PUBLIC) return null;
  if (access === Access.UNSPECIFIED) throw new AuthError('PERMISSION_DENIED');
  const certified = BY_CERTIFICATE.includes(access) ? certifiedCaller(record) : null;
  if (certified) return certified;
  if (record.bearer === '') throw new AuthError('CREDENTIALS_MISSING');
  const principal = await identify(deps, record, signal);
  if (REQUIREMENTS[access]?.some((requirement) => unmetReason(requirement, principal) === null)) return principal;
  const requiredRole = access === Access.ROLES_READER ? ROLES_READ_ROLE : undefined;
  return deny(deps, record, { principal, target, requiredRole, signal });
}

/** @returns the caller of a restricted field, at any depth; null when the message sets none */
export async function authorizeFields(
  deps: AccessDeps,
  record: Credentials,
  { desc, message, signal }: { desc: DescMessage; message: Message; signal: AbortSignal },
): Promise<Principal | null> {
  let caller: Principal | null = null;
  for (const [access, field] of requiredAccess(desc, message)) {
    caller = await authorize(deps, record, { access, target: field, signal });
  }
  return caller;
}

/**
 * The headers of users and anonymous callers are ignored.
 * @throws AuthError PERMISSION_DENIED for a service without the role: its own limits would count as those of its users
 */
export async function mayNameClient(
  deps: AccessDeps,
  record: Credentials,
  { method, signal }: { method: string; signal: AbortSignal },
): Promise<boolean> {
  const principal = (await identifyByServiceKey(deps, record, signal)) ?? (await identifyService(deps, record, signal));
  if (!principal) return false;
  if (unmetReason({ role: ON_BEHALF_OF_ROLE }, principal) === null) return true;
  const target = `x-client-address of ${method}`;
  return deny(deps, record, { principal, target, requiredRole: ON_BEHALF_OF_ROLE, signal });
}

type Denial = { principal: Principal; target: string; requiredRole: string | undefined; signal: AbortSignal };

async function deny(
  deps: AccessDeps,
  record: Credentials,
  { principal, target, requiredRole, signal }: Denial,
): Promise<never> {
  const caller = principal.kind === 'user' ? principal.userId : principal.name;
  if (principal.kind === 'service') {
    const key = keyName(principal);
    noteForLog({ service: principal.name, ...(key !== null && { service_key: key }) });
  }
  const { allowed } = await deps.limiter.take('DENIED_AUDIT', caller);
  const { origin } = toCall(record, signal);
  const denied = audit({ type: 'permission_denied', ...auditFields(principal, target), origin });
  const at = deps.now();
  if (allowed) await deps.store.outbox.write(at, [denied]);
  // The limit bounds this query too.
  const required = allowed && principal.kind === 'user' ? await stepUpToAdmin(deps, principal, at) : null;
  if (required) throw new AuthError('STEP_UP_REQUIRED', { required });
  throw new AuthError('PERMISSION_DENIED', { requiredRole });
}

/** Every access that a user can lack requires `admin`. */
async function stepUpToAdmin(
  { store }: Pick<AccessDeps, 'store'>,
  { userId, acr }: UserPrincipal,
  at: Date,
): Promise<RequiredStrength | null> {
  return stepUpForRole(acr, await store.roles.acrFor({ userId, role: ADMIN_ROLE, at }));
}

function auditFields(principal: Principal, target: string) {
  if (principal.kind === 'service') {
    const key = keyName(principal);
    return {
      actor: subjectName(principal),
      detail: `${target} by service ${principal.name}${key === null ? '' : ` with key ${key}`}`,
    };
  }
  return { userId: principal.userId, sessionId: principal.sessionId, detail: target };
}
