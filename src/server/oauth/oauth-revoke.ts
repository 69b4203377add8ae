// Token revocation (RFC 7009), for services. Ends the session of the token.
import { revokeToken } from '../../auth/revoke-token.ts';
import type { Deps } from '../../deps.ts';
import type { Handler } from '../transport/handler.ts';
import { authenticateClient } from './authenticate-client.ts';
import { createOAuthEndpoint, type OAuthEndpointDeps } from './oauth-endpoint.ts';
import { REVOCATION_PATH } from './oauth-paths.ts';
import { OAuthRejection } from './oauth-rejection.ts';

type RevocationDeps = Parameters<typeof revokeToken>[0] & Pick<Deps, 'tokenSettings'>;

const UNSUPPORTED =
  'only refresh tokens, and access tokens of users for the audience latchkey, can be revoked here; revoke the API key of a service in its place';

export function createRevocationHandler(deps: RevocationDeps & OAuthEndpointDeps): Handler {
  return createOAuthEndpoint(deps, {
    path: REVOCATION_PATH,
    issuer: deps.tokenSettings.issuer,
    schemes: ['Basic', 'Bearer'],
    async answer({ form, credentials, record, call }) {
      record.principal = await authenticateClient(deps, record, credentials, call.signal);
      const token = form.required('token');
      const outcome = await revokeToken(deps, { token }, call);
      if (outcome === 'unsupported') throw new OAuthRejection('unsupported_token_type', UNSUPPORTED);
      // Also for an invalid token (section 2.2): it is as revoked as the client can ask for.
      return {};
    },
  });
}
