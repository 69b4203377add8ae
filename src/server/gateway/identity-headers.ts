// What gateways pass on of an admitted request, and what its caller hears of a refused one. The same over ext_authz and
// forward auth.
import type { Reason } from '../../domain/error-reason.ts';
import type { TokenPrincipal } from '../../domain/principal.ts';

/** What a service behind a gateway may believe, because the gateway lets no client set it. */
const IDENTITY_HEADERS = [
  'x-auth-user-id',
  'x-auth-session-id',
  'x-auth-email',
  'x-auth-email-verified',
  'x-auth-service',
  'x-auth-roles',
] as const;

/** @returns of nobody empty ones, so that a gateway that copies them overwrites what the client has sent */
export function identityHeaders(principal: TokenPrincipal | null): Record<(typeof IDENTITY_HEADERS)[number], string> {
  const user = principal?.kind === 'user' ? principal : null;
  return {
    'x-auth-user-id': user?.userId ?? '',
    'x-auth-session-id': user?.sessionId ?? '',
    'x-auth-email': user?.email ?? '',
    'x-auth-email-verified': user ? String(user.emailVerified) : '',
    'x-auth-service': principal?.kind === 'service' ? principal.name : '',
    'x-auth-roles': principal?.roles.join(',') ?? '',
  };
}

/** 401 for who is not known, 403 for who is and may not. */
export function refusalStatus(reason: Reason): 401 | 403 {
  return reason === 'ROLE_NOT_GRANTED' ? 403 : 401;
}

/** `WWW-Authenticate` (RFC 6750 section 3). */
export function challenge(reason: Reason): string {
  switch (reason) {
    case 'CREDENTIALS_MISSING':
      return 'Bearer realm="latchkey"';
    case 'ROLE_NOT_GRANTED':
      return 'Bearer realm="latchkey", error="insufficient_scope"';
    default:
      return 'Bearer realm="latchkey", error="invalid_token"';
  }
}
