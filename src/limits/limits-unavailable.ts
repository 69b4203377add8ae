import { AuthError } from '../domain/auth-error.ts';

/** Redis has not answered, or denies a command. */
export class LimitsUnavailable extends AuthError {
  constructor(cause: unknown) {
    super('DEPENDENCY_UNAVAILABLE', { cause });
  }
}
