import type { RequiredStrength } from './acr.ts';
import type { Reason } from './error-reason.ts';

/** The description never repeats the value. */
export type Violation = { field: string; description: string };

type Details = {
  violations?: Violation[];
  /** When the same call can succeed, in milliseconds from now. */
  retryAfterMs?: number;
  requiredRole?: string | undefined;
  /** With STEP_UP_REQUIRED: the requirement that the authentication does not meet. */
  required?: RequiredStrength | undefined;
  /** Only for the log. */
  cause?: unknown;
  /** The reason is the default. */
  message?: string;
};

export class AuthError extends Error {
  readonly reason: Reason;
  readonly violations: Violation[];
  readonly retryAfterMs: number | undefined;
  readonly requiredRole: string | undefined;
  readonly required: RequiredStrength | undefined;

  constructor(reason: Reason, details: Details = {}) {
    super(details.message ?? reason, { cause: details.cause });
    this.name = 'AuthError';
    this.reason = reason;
    this.violations = details.violations ?? [];
    this.retryAfterMs = details.retryAfterMs;
    this.requiredRole = details.requiredRole;
    this.required = details.required;
  }
}
