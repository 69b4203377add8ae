// The client_credentials grant (RFC 6749 section 4.4). The client is a service account, and its secret is an API key.
import { issueServiceToken } from '../../auth/issue-service-token.ts';
import type { Deps } from '../../deps.ts';
import { AuthError } from '../../domain/auth-error.ts';
import type { Handler } from '../transport/handler.ts';
import type { ClientCredentials } from './client-credentials.ts';
import { createOAuthEndpoint, type OAuthEndpointDeps, type OAuthRequest } from './oauth-endpoint.ts';
import type { OAuthForm } from './oauth-form.ts';
import { TOKEN_PATH } from './oauth-paths.ts';
import { invalidClient, OAuthRejection } from './oauth-rejection.ts';

type TokenDeps = Parameters<typeof issueServiceToken>[0] & Pick<Deps, 'tokenSettings'>;

export function createOAuthTokenHandler(deps: TokenDeps & OAuthEndpointDeps): Handler {
  return createOAuthEndpoint(deps, {
    path: TOKEN_PATH,
    issuer: deps.tokenSettings.issuer,
    schemes: ['Basic'],
    answer: (request) => answer(deps, request),
  });
}

async function answer(deps: TokenDeps, { form, credentials, record, call }: OAuthRequest): Promise<object> {
  if (form.required('grant_type') !== 'client_credentials') {
    throw new OAuthRejection('unsupported_grant_type', 'grant_type must be client_credentials');
  }
  const { id, secret } = credentials;
  const input = { apiKey: secret, client: id, audiences: targetsIn(form), roles: scopeIn(form) };
  const { accessToken, expiresAt, principal } = await issueServiceToken(deps, input, call).catch((error: unknown) => {
    throw rejectionFor(error, credentials) ?? error;
  });
  record.principal = principal;
  const { roles } = principal;
  return {
    access_token: accessToken,
    token_type: 'Bearer',
    expires_in: Math.floor((expiresAt.getTime() - deps.now().getTime()) / 1000),
    // A scope has at least one name (RFC 6749 section 3.3).
    ...(roles.length > 0 && { scope: roles.join(' ') }),
  };
}

function rejectionFor(error: unknown, { scheme }: ClientCredentials): OAuthRejection | null {
  if (!(error instanceof AuthError)) return null;
  if (error.reason === 'PERMISSION_DENIED') {
    return invalidClient('the client secret must be a valid API key of this client', scheme);
  }
  if (error.reason !== 'INVALID_ARGUMENT') return null;
  return error.violations.some(({ field }) => field === 'roles')
    ? new OAuthRejection('invalid_scope', 'scope must be roles of this client, separated by spaces')
    : new OAuthRejection('invalid_target', 'resource and audience must be audiences of this deployment');
}

/**
 * Many clients send `audience` in place of `resource` (RFC 8707). A value can be a name instead of a URI. Audiences have
 * no fragment, so a resource with one is unknown.
 */
function targetsIn(form: OAuthForm): string[] {
  return [...form.all('resource'), ...form.all('audience')];
}

/** Roles are scopes. */
function scopeIn(form: OAuthForm): string[] {
  const scope = form.one('scope');
  return scope === '' ? [] : scope.split(' ');
}
