import type { Deps } from '../deps.ts';
import { chosenAudiences, parseAudiences } from '../domain/audience.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { InvalidValue, parseFields } from '../domain/parse-fields.ts';
import type { ServicePrincipal } from '../domain/principal.ts';
import { closureOf } from '../domain/role-graph.ts';

export type IssueServiceTokenInput = {
  apiKey: string;
  /** The service account that must own the key, by name or id. Null accepts any. */
  client: string | null;
  /** Empty for all audiences. */
  audiences: string[];
  /** Empty for all roles of the service. The token has the roles that they imply as well. */
  roles: string[];
};

export type ServiceToken = { accessToken: string; expiresAt: Date; principal: ServicePrincipal };

/** @throws AuthError PERMISSION_DENIED without a valid API key of the client, and INVALID_ARGUMENT only with one */
export async function issueServiceToken(
  deps: Pick<Deps, 'store' | 'apiKeys' | 'signingKeys' | 'verifier' | 'tokenSettings' | 'now' | 'newId'>,
  { apiKey, client, ...requested }: IssueServiceTokenInput,
  call: Call,
): Promise<ServiceToken> {
  // A token with cached roles could be stale when it is issued.
  const account = await deps.apiKeys.lookUpFresh(apiKey, call);
  const isClient = account && (client === null || client === account.name || client === account.serviceAccountId);
  if (!isClient) throw new AuthError('PERMISSION_DENIED');
  const { issuer, audiences, serviceTokenTtlSeconds } = deps.tokenSettings;
  const { audiences: choice } = parseFields({
    audiences: () => parseAudiences(requested.audiences, audiences),
    roles: () => assertHeld(requested.roles, account.roles),
  });
  const roles = requested.roles.length > 0 ? await withImplied(deps, requested.roles, account.roles) : account.roles;
  const { serviceAccountId, keyId, name, claimsEpoch, rolesEpoch, until } = account;
  const now = deps.now();
  const issuedAt = Math.floor(now.getTime() / 1000);
  // A token must expire before its API key and its role grants do.
  const expiry = Math.min(issuedAt + serviceTokenTtlSeconds, Math.floor(until.getTime() / 1000));
  const claims = {
    iss: issuer,
    sub: serviceAccountId,
    aud: chosenAudiences(choice, audiences),
    client_id: name,
    iat: issuedAt,
    exp: expiry,
    jti: deps.newId(),
    sid: keyId,
    roles,
    epoch: claimsEpoch,
    roles_epoch: rolesEpoch,
  };
  const accessToken = await deps.signingKeys.sign(claims);
  await deps.store.outbox.write(now, [
    audit({ type: 'service_token_issued', actor: `service:${name}`, target: `api_key:${keyId}`, origin: call.origin }),
  ]);
  deps.verifier.remember(accessToken, claims);
  const principal: ServicePrincipal = { kind: 'service', serviceAccountId, keyId, name, roles };
  return { accessToken, expiresAt: new Date(expiry * 1000), principal };
}

function assertHeld(requested: string[], held: string[]): void {
  if (!requested.every((role) => held.includes(role))) throw new InvalidValue('must hold only roles of the service');
}

/** A definition that changed in the meantime cannot add roles. */
async function withImplied({ store }: Pick<Deps, 'store'>, requested: string[], held: string[]): Promise<string[]> {
  const graph = new Map((await store.roles.all()).map((role) => [role.name, role]));
  const implied = new Set(requested.flatMap((role) => [...closureOf(graph, role)]));
  return held.filter((role) => implied.has(role));
}
