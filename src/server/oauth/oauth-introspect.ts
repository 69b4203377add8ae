// Token introspection (RFC 7662), for services. Answers from memory, as Verify does.
import { type Introspection, introspectToken } from '../../auth/introspect-token.ts';
import type { Deps } from '../../deps.ts';
import type { Handler } from '../transport/handler.ts';
import { authenticateClient } from './authenticate-client.ts';
import { INTROSPECTION_SCHEMES } from './client-credentials.ts';
import { createOAuthEndpoint, type OAuthEndpointDeps } from './oauth-endpoint.ts';
import { INTROSPECTION_PATH } from './oauth-paths.ts';

type IntrospectionDeps = Parameters<typeof introspectToken>[0] & Pick<Deps, 'tokenSettings'>;

/** The same for every token that is not active, so that the answer reveals nothing about it. */
const INACTIVE = { active: false };

export function createIntrospectionHandler(deps: IntrospectionDeps & OAuthEndpointDeps): Handler {
  return createOAuthEndpoint(deps, {
    path: INTROSPECTION_PATH,
    issuer: deps.tokenSettings.issuer,
    schemes: INTROSPECTION_SCHEMES,
    async answer({ form, credentials, record, call }) {
      record.principal = await authenticateClient(deps, record, credentials, call.signal);
      // The kind of a token shows in its text. A hint is therefore not used.
      const token = form.required('token');
      return introspectionBody(await introspectToken(deps, { token }, call));
    },
  });
}

/** Null for a token that is not active. */
export function introspectionBody(introspection: Introspection | null): object {
  if (!introspection) return INACTIVE;
  const { roles, ...claims } = introspection;
  return {
    active: true,
    token_type: 'Bearer',
    ...claims,
    ...(roles.length > 0 && { scope: roles.join(' ') }),
    roles,
  };
}
