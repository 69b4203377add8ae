// The one rule for requirements, which every endpoint and the client library use.
import { type Acr, type RequiredStrength, reaches } from './acr.ts';
import type { Principal, TokenPrincipal } from './principal.ts';

export type Subject = {
  kind: (Principal | TokenPrincipal)['kind'];
  roles: readonly string[];
  /** Only users have both. */
  acr?: Acr;
  authTime?: Date | null;
};

export type Requirement = Partial<RequiredStrength> & {
  kind?: Subject['kind'];
  /** Any role when empty. */
  role?: string;
};

export type UnmetReason = 'PERMISSION_DENIED' | 'STEP_UP_REQUIRED' | 'ROLE_NOT_GRANTED';

/**
 * Null when the subject meets the requirement. STEP_UP_REQUIRED comes before ROLE_NOT_GRANTED, because a stronger
 * session can have more roles. PERMISSION_DENIED: the subject is of another kind. A service cannot step up, so it is
 * of the wrong kind for a requirement on strength.
 * @param nowMs without it, every authentication counts as too old
 */
export function unmetReason(
  { kind, role = '', ...strength }: Requirement,
  subject: Subject,
  nowMs = Number.POSITIVE_INFINITY,
): UnmetReason | null {
  if (kind !== undefined && subject.kind !== kind) return 'PERMISSION_DENIED';
  const { acr = null, maxAgeSeconds = null } = strength;
  if (acr !== null || maxAgeSeconds !== null) {
    if (subject.kind !== 'user') return 'PERMISSION_DENIED';
    const isStrongEnough = acr === null || (subject.acr !== undefined && reaches(subject.acr, acr));
    const isRecentEnough = maxAgeSeconds === null || nowMs <= tooOldAfterMs(subject, maxAgeSeconds);
    if (!isStrongEnough || !isRecentEnough) return 'STEP_UP_REQUIRED';
  }
  return role === '' || subject.roles.includes(role) ? null : 'ROLE_NOT_GRANTED';
}

/** The last moment at which the subject's authentication has this age or a lower one. */
export function tooOldAfterMs({ authTime }: Pick<Subject, 'authTime'>, maxAgeSeconds: number): number {
  return authTime ? authTime.getTime() + maxAgeSeconds * 1000 : Number.NEGATIVE_INFINITY;
}

/** Separate from `unmetReason`: it is decided before the revocation status is read. */
export function isForAudience(audiences: readonly string[], audience: string): boolean {
  return audiences.includes(audience);
}
