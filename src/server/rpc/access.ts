// Who may call what. A method says so in the proto; one that does not cannot be called. Those of gRPC itself cannot say it.
import {
  type DescField,
  type DescMessage,
  type DescMethod,
  type DescService,
  getOption,
  hasOption,
  isFieldSet,
  type Message,
} from '@bufbuild/protobuf';
import { type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect';
import { Authorization } from '../../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { ServerReflection } from '../../../gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ServerReflectionAlpha } from '../../../gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { Health } from '../../../gen/health/v1/health_pb.ts';
import { Access, access as accessOption, field_access } from '../../../gen/latchkey/auth/v1/options_pb.ts';
import type { Deps } from '../../deps.ts';
import { OWN_AUDIENCE } from '../../domain/audience.ts';
import { AuthError } from '../../domain/auth-error.ts';
import type { Call } from '../../domain/call.ts';
import { audit } from '../../domain/effect.ts';
import type { Principal, ServicePrincipal, UserPrincipal } from '../../domain/principal.ts';
import { ADMIN_ROLE, ON_BEHALF_OF_ROLE, ROLES_READ_ROLE } from '../../domain/role.ts';
import type { ServiceKeys } from '../../keys/service-keys.ts';

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
  const certified = access === Access.SERVICE || access === Access.ROLES_READER ? peerService() : null;
  if (certified !== null) return byConfiguration(certified);
  if (bearer === '') throw new AuthError('CREDENTIALS_MISSING');
  const principal = await identify(deps, bearer, call);
  if (mayCall(principal, access)) return principal;
  const requiredRole = access === Access.ROLES_READER ? ROLES_READ_ROLE : undefined;
  return deny(deps, principal, what, call, requiredRole);
}

/**
 * The same for each field of a request that is set, at any depth, and that not everybody may set.
 * @returns the caller of such a field; null when none is set
 */
export async function authorizeFields(
  deps: AccessDeps,
  desc: DescMessage,
  message: Message,
  credentials: Credentials,
  call: Call,
): Promise<Principal | null> {
  let caller: Principal | null = null;
  for (const [access, field] of restrictionsOf(desc, message)) {
    caller = await authorize(deps, access, credentials, field, call);
  }
  return caller;
}

/**
 * Whether the caller may name the client that it calls for. What users and strangers say of it is ignored.
 * @throws AuthError PERMISSION_DENIED for a service without the role: it would take its own limits for those of its users
 */
export async function maySpeakForOthers(
  deps: AccessDeps,
  credentials: Credentials,
  what: string,
  call: Call,
): Promise<boolean> {
  const service = await serviceOf(deps, credentials, call);
  if (service === null) return false;
  if (service.roles.includes(ON_BEHALF_OF_ROLE)) return true;
  return deny(deps, service, `x-client-address of ${what}`, call, ON_BEHALF_OF_ROLE);
}

/** @throws AuthError PERMISSION_DENIED, always; and audits it */
async function deny(
  deps: AccessDeps,
  principal: Principal,
  what: string,
  { origin }: Call,
  requiredRole?: string,
): Promise<never> {
  const caller = principal.kind === 'user' ? principal.userId : principal.name;
  const { allowed } = await deps.limiter.take('DENIED_AUDIT', caller);
  const denied = audit({ type: 'permission_denied', ...auditFields(principal, what), origin });
  if (allowed) await deps.store.outbox.write(deps.now(), [denied]);
  throw new AuthError('PERMISSION_DENIED', { requiredRole });
}

/** Each access that fields of the message require, with the name of one such field. */
function restrictionsOf(desc: DescMessage, message: Message, found = new Map<Access, string>()): Map<Access, string> {
  if (!isRestricted(desc)) return found;
  for (const field of desc.fields) {
    if (!isFieldSet(message, field)) continue;
    if (hasOption(field, field_access)) found.set(getOption(field, field_access), `${desc.typeName}.${field.name}`);
    if (!field.message || !isRestricted(field.message)) continue;
    for (const part of partsOf(desc, message, field)) restrictionsOf(field.message, part, found);
  }
  return found;
}

/** The messages that a field holds. */
function partsOf(desc: DescMessage, message: Message, field: DescField): Message[] {
  const reflected = reflect(desc, message);
  if (field.fieldKind === 'message') return [reflected.get(field).message];
  if (field.fieldKind === 'list' && field.listKind === 'message') {
    return [...reflected.get(field)].map((one) => (one as ReflectMessage).message);
  }
  if (field.fieldKind === 'map' && field.mapKind === 'message') {
    return [...reflected.get(field).values()].map((one) => (one as ReflectMessage).message);
  }
  return [];
}

const restricted = new Map<DescMessage, boolean>();

/** Whether the message, or one at any depth in it, has a field that not everybody may set. */
function isRestricted(desc: DescMessage): boolean {
  const known = restricted.get(desc);
  if (known !== undefined) return known;
  const fields = messagesIn(desc).flatMap((one) => one.fields);
  const found = fields.some((field) => hasOption(field, field_access));
  restricted.set(desc, found);
  return found;
}

/** The message and all that it may contain, each once: messages may contain themselves. */
function messagesIn(desc: DescMessage): DescMessage[] {
  const found = new Set([desc]);
  for (const one of found) for (const { message } of one.fields) if (message) found.add(message);
  return [...found];
}

function auditFields(principal: Principal, what: string) {
  if (principal.kind === 'service') return { detail: `${what} by service ${principal.name}` };
  return { userId: principal.userId, sessionId: principal.sessionId, detail: what };
}

/**
 * The user who calls a PUBLIC method, if their access token is sent with it; null for nobody, and for a service that calls for users.
 * @throws AuthError as the verifier does
 */
export async function identifyUser(deps: AccessDeps, bearer: string, call: Call): Promise<UserPrincipal | null> {
  const principal = bearer === '' ? null : await identify(deps, bearer, call);
  return principal?.kind === 'user' ? principal : null;
}

async function identify(deps: AccessDeps, credential: string, call: Call): Promise<Principal> {
  const name = deps.serviceKeys.nameOf(credential);
  if (name !== null) return byConfiguration(name);
  const holder = await deps.apiKeys.open(credential, call);
  if (holder) return { kind: 'service', ...holder };
  const { principal, token } = await deps.verifier.verify(credential, OWN_AUDIENCE, call.signal);
  if (principal.kind === 'service') return { ...principal, keyId: token.sessionId };
  return { ...principal, refreshCounter: token.refreshCounter };
}

/** The service that calls; null for users and strangers. */
async function serviceOf(
  deps: AccessDeps,
  { bearer, peerService }: Credentials,
  call: Call,
): Promise<ServicePrincipal | null> {
  const certified = peerService();
  if (certified !== null) return byConfiguration(certified);
  if (bearer === '') return null;
  try {
    const principal = await identify(deps, bearer, call);
    return principal.kind === 'service' ? principal : null;
  } catch (error) {
    if (error instanceof AuthError && error.reason.startsWith('TOKEN_')) return null;
    throw error;
  }
}

/** One that has no account: the roles that go with every such service are all that it has. */
function byConfiguration(name: string): ServicePrincipal {
  return { kind: 'service', serviceAccountId: null, keyId: null, name, roles: [ROLES_READ_ROLE, ON_BEHALF_OF_ROLE] };
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
    case Access.ROLES_READER:
      return isAdmin || (!isUser && principal.roles.includes(ROLES_READ_ROLE));
    default:
      return false;
  }
}
