// A relying party and ceremonies with a software authenticator, for tests of src/factors/passkeys.ts.
import { randomBytes, randomUUID } from 'node:crypto';
import { expect } from 'vitest';
import { InvalidValue } from '../../src/domain/parse-fields.ts';
import { uuidToBytes } from '../../src/domain/uuid.ts';
import {
  CeremonyFailed,
  creationOptions,
  type NewPasskey,
  type RelyingParty,
  requestOptions,
  verifyAssertion,
  verifyRegistration,
} from '../../src/factors/passkeys.ts';
import { type AssertOptions, type Authenticator, createAuthenticator, type RegisterOptions } from './authenticator.ts';

export const ORIGIN = 'https://app.example.com';
export const RP: RelyingParty = { id: 'example.com', name: 'Example', origins: ['https://example.com', ORIGIN] };
export const USER = { userId: randomUUID(), email: 'ada@example.com', fullName: 'Ada Lovelace' };

export function register(
  authenticator: Authenticator,
  options: Partial<RegisterOptions> = {},
  change: (response: string) => string = (response) => response,
): Promise<NewPasskey> {
  const challenge = randomBytes(32);
  const json = creationOptions(RP, { ...USER, challenge, excluded: [] });
  const response = change(authenticator.register(json, { origin: ORIGIN, ...options }));
  return verifyRegistration(RP, { response, challenge });
}

export type EnrolledPasskey = {
  authenticator: Authenticator;
  passkey: NewPasskey & { userHandle: Buffer };
};

export async function enrolled(settings: Parameters<typeof createAuthenticator>[0] = {}): Promise<EnrolledPasskey> {
  const authenticator = createAuthenticator(settings);
  return { authenticator, passkey: { ...(await register(authenticator)), userHandle: uuidToBytes(USER.userId) } };
}

export function signIn(
  { authenticator, passkey }: EnrolledPasskey,
  options: Partial<AssertOptions> = {},
  {
    requiresUserVerification = true,
    requiresUserHandle = false,
    change = (response: string) => response,
    stored = {} as Partial<Parameters<typeof verifyAssertion>[1]['passkey']>,
  } = {},
) {
  const challenge = randomBytes(32);
  const json = requestOptions(RP, { challenge, allowed: [passkey], requiresUserVerification });
  const response = change(authenticator.assert(json, { origin: ORIGIN, ...options }));
  const required = { requiresUserVerification, requiresUserHandle };
  return verifyAssertion(RP, { response, challenge, passkey: { ...passkey, ...stored }, ...required });
}

/** The cause of a failed ceremony, `form` for an invalid value, or `accepted`. */
export async function verdictOf(ceremony: Promise<unknown>): Promise<string> {
  try {
    await ceremony;
    return 'accepted';
  } catch (error) {
    if (error instanceof InvalidValue) return 'form';
    if (!(error instanceof CeremonyFailed)) throw error;
    expect(error.message).toBe(`passkey ceremony failed: ${error.cause}`);
    return error.cause;
  }
}
