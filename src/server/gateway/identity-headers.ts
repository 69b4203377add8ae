// The headers of an allowed request and the response to a rejected one, the same for ext_authz and forward auth.
import type { Violation } from '../../domain/auth-error.ts';
import { ERROR_REASONS, type Reason } from '../../domain/error-reason.ts';
import type { TokenPrincipal } from '../../domain/principal.ts';

/** A service behind a gateway can trust these headers: the gateway lets no client set them. */
const IDENTITY_HEADERS = [
  'x-auth-user-id',
  'x-auth-session-id',
  'x-auth-email',
  'x-auth-email-verified',
  'x-auth-service',
  'x-auth-roles',
] as const;

/** @returns empty values for an anonymous request, so that a gateway that copies them overwrites the client's own */
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

/** 403 for a known client without the role, 400 for an invalid requirement of the route. */
export function rejection(
  reason: Reason,
  violations: Violation[] = [],
): {
  status: 400 | 401 | 403;
  challenge: string;
  body: { reason: Reason; message: string; violations?: Violation[] };
} {
  const body = { reason, message: ERROR_REASONS[reason].message, ...(violations.length > 0 && { violations }) };
  return { status: statusOf(reason), challenge: challenge(reason), body };
}

function statusOf(reason: Reason): 400 | 401 | 403 {
  if (reason === 'INVALID_ARGUMENT') return 400;
  return reason === 'ROLE_NOT_GRANTED' || reason === 'CROSS_SITE_REQUEST' ? 403 : 401;
}

/** RFC 6750 section 3. */
function challenge(reason: Reason): string {
  switch (reason) {
    case 'INVALID_ARGUMENT':
    case 'CREDENTIALS_MISSING':
    case 'CROSS_SITE_REQUEST':
      return 'Bearer realm="latchkey"';
    case 'ROLE_NOT_GRANTED':
      return 'Bearer realm="latchkey", error="insufficient_scope"';
    default:
      return 'Bearer realm="latchkey", error="invalid_token"';
  }
}
