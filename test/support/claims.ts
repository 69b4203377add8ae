import { randomUUID } from 'node:crypto';
import type { AccessClaims } from '../../src/verifier/access-token.ts';

/** Claims of a user who has just signed in, valid for 15 minutes. @param issuedAt in seconds since the epoch */
export function claimsOf(issuedAt: number): AccessClaims {
  return {
    iss: 'https://auth.example',
    sub: randomUUID(),
    aud: ['latchkey'],
    client_id: 'latchkey',
    iat: issuedAt,
    exp: issuedAt + 900,
    jti: randomUUID(),
    sid: randomUUID(),
    email: 'ada@example.com',
    email_verified: true,
    refresh_counter: 1,
    acr: 'mfa',
    amr: ['mfa', 'otp', 'pwd'],
    auth_time: issuedAt,
    roles: ['user'],
    epoch: 1,
    roles_epoch: 0,
  };
}
