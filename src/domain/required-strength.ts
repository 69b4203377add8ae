// A required strength, as requests and routes state it, and as a rejection returns it (RFC 9470).
import { ACRS, type Acr, isAcr, parseAcr, type RequiredStrength } from './acr.ts';
import { ERROR_REASONS } from './error-reason.ts';
import { invalid } from './parse-fields.ts';

/** A year. */
const MAX_MAX_AGE_SECONDS = 31_536_000;

export const strengthParsers = ({ acr, maxAge }: { acr: string; maxAge: number }) => ({
  acr: () => parseAcr(acr),
  max_age: () => parseMaxAge(maxAge),
});

/** Null for 0. @throws InvalidValue */
function parseMaxAge(seconds: number): number | null {
  if (seconds === 0) return null;
  return isMaxAge(seconds) ? seconds : invalid(`must be at most ${MAX_MAX_AGE_SECONDS}`);
}

/** The caller has stated the text, so an empty one is invalid. @throws InvalidValue */
export function parseAcrText(text: string): Acr {
  return isAcr(text) ? text : invalid(`must be one of ${ACRS.join(', ')}`);
}

/** As parseAcrText. @returns seconds @throws InvalidValue */
export function parseMaxAgeText(text: string): number {
  const seconds = /^[1-9][0-9]*$/.test(text) ? Number(text) : 0;
  return isMaxAge(seconds) ? seconds : invalid(`must be seconds from 1 to ${MAX_MAX_AGE_SECONDS}, without a unit`);
}

export function isMaxAge(seconds: number): boolean {
  return Number.isSafeInteger(seconds) && seconds > 0 && seconds <= MAX_MAX_AGE_SECONDS;
}

/** Null when nothing is required. */
export function requiredStrength(acr: Acr | null, maxAgeSeconds: number | null): RequiredStrength | null {
  return acr === null && maxAgeSeconds === null ? null : { acr, maxAgeSeconds };
}

/** With the names of RFC 9470 section 3. */
export function strengthParameters({ acr, maxAgeSeconds }: RequiredStrength): Record<string, string> {
  return {
    ...(acr !== null && { acr_values: acr }),
    ...(maxAgeSeconds !== null && { max_age: String(maxAgeSeconds) }),
  };
}

/** RFC 9470 section 3. */
export function stepUpParameters(required: RequiredStrength): Record<string, string> {
  return {
    error: 'insufficient_user_authentication',
    error_description: ERROR_REASONS.STEP_UP_REQUIRED.message,
    ...strengthParameters(required),
  };
}

/** The parameters of a challenge of the scheme Bearer. */
export function stepUpChallenge(required: RequiredStrength): string {
  return Object.entries(stepUpParameters(required))
    .map(([name, value]) => `${name}="${value}"`)
    .join(', ');
}
