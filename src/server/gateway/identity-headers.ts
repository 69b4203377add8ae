// The headers of an allowed request and the response to a rejected one, the same for ext_authz and forward auth.
import type { RequiredStrength } from '../../domain/acr.ts';
import type { Violation } from '../../domain/auth-error.ts';
import { ERROR_REASONS, type Reason } from '../../domain/error-reason.ts';
import type { TokenPrincipal } from '../../domain/principal.ts';
import { stepUpHeader } from '../calls/write-error.ts';

/** A service behind a gateway can trust these headers: the gateway lets no client set them. */
const IDENTITY_HEADERS = [
  'x-auth-user-id',
  'x-auth-session-id',
  'x-auth-email',
  'x-auth-email-verified',
  'x-auth-acr',
  'x-auth-time',
  'x-auth-service',
  'x-auth-roles',
] as const;

type Rejected = { reason: Reason; violations?: Violation[]; required?: RequiredStrength };

/** @returns empty values for an anonymous request, so that a gateway that copies them overwrites the client's own */
export function identityHeaders(principal: TokenPrincipal | null): Record<(typeof IDENTITY_HEADERS)[number], string> {
  const user = principal?.kind === 'user' ? principal : null;
  return {
    'x-auth-user-id': user?.userId ?? '',
    'x-auth-session-id': user?.sessionId ?? '',
    'x-auth-email': user?.email ?? '',
    'x-auth-email-verified': user ? String(user.emailVerified) : '',
    'x-auth-acr': user?.acr ?? '',
    // Seconds since 1970.
    'x-auth-time': user?.authTime ? String(user.authTime.getTime() / 1000) : '',
    'x-auth-service': principal?.kind === 'service' ? principal.name : '',
    'x-auth-roles': principal?.roles.join(',') ?? '',
  };
}

/** 403 for a known client without the role, 400 for an invalid requirement of the route. */
export function rejection({ reason, violations = [], required }: Rejected): {
  status: 400 | 401 | 403;
  challenge: string;
  body: { reason: Reason; message: string; violations?: Violation[] };
} {
  const body = { reason, message: ERROR_REASONS[reason].message, ...(violations.length > 0 && { violations }) };
  return { status: statusOf(reason), challenge: challenge(reason, required), body };
}

/** A sign-in of the same client changes nothing about these. */
const DENIALS: Reason[] = ['ROLE_NOT_GRANTED', 'PERMISSION_DENIED', 'CROSS_SITE_REQUEST'];

function statusOf(reason: Reason): 400 | 401 | 403 {
  if (reason === 'INVALID_ARGUMENT') return 400;
  return DENIALS.includes(reason) ? 403 : 401;
}

/** RFC 6750 section 3, RFC 9470 section 3. */
function challenge(reason: Reason, required: RequiredStrength | undefined): string {
  if (reason === 'STEP_UP_REQUIRED' && required) return stepUpHeader(required);
  switch (reason) {
    case 'INVALID_ARGUMENT':
    case 'CREDENTIALS_MISSING':
    case 'CROSS_SITE_REQUEST':
      return 'Bearer realm="latchkey"';
    case 'ROLE_NOT_GRANTED':
    case 'PERMISSION_DENIED':
      return 'Bearer realm="latchkey", error="insufficient_scope"';
    default:
      return 'Bearer realm="latchkey", error="invalid_token"';
  }
}
