import type { Deps } from '../deps.ts';
import { chosenAudiences, parseAudiences } from '../domain/audience.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { parseFields } from '../domain/parse-fields.ts';
import type { ServicePrincipal } from '../domain/principal.ts';

export type IssueServiceTokenInput = {
  apiKey: string;
  /** The required owner of the key, by name or id; null accepts any. */
  client: string | null;
  /** Empty for all. */
  audiences: string[];
};

export type ServiceToken = { accessToken: string; expiresAt: Date; principal: ServicePrincipal };

/**
 * A short access token for an API key, that whoever verifies tokens takes.
 * @throws AuthError PERMISSION_DENIED for anything else than the key of a service account, or than one of the client;
 *   INVALID_ARGUMENT, for the holder of a key alone
 */
export async function issueServiceToken(
  deps: Pick<Deps, 'store' | 'apiKeys' | 'signingKeys' | 'verifier' | 'tokenSettings' | 'now' | 'newId'>,
  { apiKey, client, audiences: asked }: IssueServiceTokenInput,
  call: Call,
): Promise<ServiceToken> {
  // Not what was believed a moment ago: the token would be stale when it is made.
  const holder = await deps.apiKeys.ask(apiKey, call);
  const isTheirs = holder && (client === null || client === holder.name || client === holder.serviceAccountId);
  if (!isTheirs) throw new AuthError('PERMISSION_DENIED');
  const { issuer, audiences, serviceTokenTtlSeconds } = deps.tokenSettings;
  const { audiences: choice } = parseFields({ audiences: () => parseAudiences(asked, audiences) });
  const { serviceAccountId, keyId, name, roles, claimsEpoch, rolesEpoch, until } = holder;
  const now = deps.now();
  const issuedAt = Math.floor(now.getTime() / 1000);
  // Neither its roles nor its key are outlived by it.
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
