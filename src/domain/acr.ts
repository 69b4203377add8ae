// The strength of an authentication: the values of `acr` of OpenID Connect EAP ACR Values 1.0.
import type { ProofKind } from './factor.ts';
import { invalid } from './parse-fields.ts';

/** The weakest first: one factor, two factors, phishing-resistant. Each includes those before it. */
export const ACRS = ['pwd', 'mfa', 'phr'] as const;
export type Acr = (typeof ACRS)[number];

export type Methods = {
  acr: Acr;
  /** Methods of RFC 8176, sorted. Empty when an identity provider does not report them. */
  amr: string[];
};

export type Strength = Methods & {
  /** The last authentication with this strength. */
  authTime: Date;
};

/** Each is null when it is not required. `maxAgeSeconds` is the greatest age of `authTime`. */
export type RequiredStrength = { acr: Acr | null; maxAgeSeconds: number | null };

export const BY_PASSWORD: Methods = { acr: 'pwd', amr: ['pwd'] };

/** A passkey that has verified the user, without a password. */
export const BY_PASSKEY_ALONE: Methods = { acr: 'phr', amr: ['mfa', 'pop', 'user'] };

/** @param amr as the provider's ID token has it; empty when it has none */
export function byProvider(amr: string[]): Methods {
  return { acr: amr.includes('mfa') ? 'mfa' : 'pwd', amr: [...new Set(amr)].sort() };
}

/** The methods of a sign-in after its second step. A recovery code is a one-time password too. */
export function withProof(amr: string[], proof: ProofKind): Methods {
  const added = proof === 'passkey' ? 'pop' : 'otp';
  return { acr: ACR_OF_PROOF[proof], amr: [...new Set([...amr, 'mfa', added])].sort() };
}

/** The strength that each kind of proof adds up to in a second step. */
export const ACR_OF_PROOF: Record<ProofKind, Acr> = { totp: 'mfa', recovery_code: 'mfa', passkey: 'phr' };

export function isAcr(text: string): text is Acr {
  return (ACRS as readonly string[]).includes(text);
}

export function reaches(acr: Acr, required: Acr): boolean {
  return ACRS.indexOf(acr) >= ACRS.indexOf(required);
}

/**
 * Null when a step-up does not give the role.
 * @param needed the weakest strength with which the user has the role; null when the user does not hold it
 */
export function stepUpForRole(acr: Acr, needed: Acr | null): RequiredStrength | null {
  return needed === null || reaches(acr, needed) ? null : { acr: needed, maxAgeSeconds: null };
}

export function strongerOf(one: Acr, other: Acr): Acr {
  return reaches(one, other) ? one : other;
}

/** Null for an empty text. @throws InvalidValue */
export function parseAcr(text: string): Acr | null {
  if (text === '') return null;
  return isAcr(text) ? text : invalid(`must be ${ACRS.join(', ')} or empty`);
}
