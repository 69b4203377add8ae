import type { RequiredStrength } from '../../domain/acr.ts';
import { ERROR_REASONS } from '../../domain/error-reason.ts';
import type { OAuthErrorCode } from '../calls/write-error.ts';

export type Scheme = 'Basic' | 'Bearer';

/** The answer to a request that is at fault. */
export class OAuthRejection extends Error {
  readonly error: OAuthErrorCode;
  /** The scheme of `www-authenticate`. */
  readonly challenge: Scheme | null;
  /** With insufficient_user_authentication. */
  readonly required: RequiredStrength | null;

  constructor(
    error: OAuthErrorCode,
    description: string,
    challenge: Scheme | null = null,
    required: RequiredStrength | null = null,
  ) {
    super(description);
    this.error = error;
    this.challenge = challenge;
    this.required = required;
  }
}

/** RFC 9470 defines the error for access tokens, which a client sends by Bearer. */
export function insufficientClient(required: RequiredStrength, challenge: Scheme): OAuthRejection {
  const { message } = ERROR_REASONS.STEP_UP_REQUIRED;
  if (challenge === 'Basic') return invalidClient(message);
  return new OAuthRejection('insufficient_user_authentication', message, challenge, required);
}

export function invalidClient(description: string, challenge: Scheme = 'Basic'): OAuthRejection {
  return new OAuthRejection(challenge === 'Bearer' ? 'invalid_token' : 'invalid_client', description, challenge);
}
