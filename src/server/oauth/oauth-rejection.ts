import type { OAuthErrorCode } from '../calls/write-error.ts';

export type Scheme = 'Basic' | 'Bearer';

/** The answer to a request that is at fault. */
export class OAuthRejection extends Error {
  readonly error: OAuthErrorCode;
  /** The scheme of `www-authenticate`. */
  readonly challenge: Scheme | null;

  constructor(error: OAuthErrorCode, description: string, challenge: Scheme | null = null) {
    super(description);
    this.error = error;
    this.challenge = challenge;
  }
}

export function invalidClient(description: string, challenge: Scheme = 'Basic'): OAuthRejection {
  return new OAuthRejection(challenge === 'Bearer' ? 'invalid_token' : 'invalid_client', description, challenge);
}
