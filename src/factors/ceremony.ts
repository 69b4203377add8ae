// The rules that a registration and an assertion share (WebAuthn level 3 sections 7.1 and 7.2).
import { createHash } from 'node:crypto';
import { parseAuthenticatorData } from '@simplewebauthn/server/helpers';
import { z } from 'zod';
import { isEqual } from '../domain/mac.ts';

export type RelyingParty = {
  /** A domain name: of the origins, or a parent domain of them. */
  id: string;
  name: string;
  /** Exact origins, such as `https://app.example.com`. */
  origins: string[];
};

type Cause =
  | 'client data'
  | 'type'
  | 'challenge'
  | 'origin'
  | 'cross origin'
  | 'token binding'
  | 'authenticator data'
  | 'relying party'
  | 'user presence'
  | 'user verification'
  | 'backup flags'
  | 'attestation'
  | 'credential id'
  | 'public key'
  | 'user handle'
  | 'signature'
  | 'counter';

/** A response in the right form that proves nothing. */
export class CeremonyFailed extends Error {
  /** For logs and audit events. A caller must not return it. */
  override readonly cause: Cause;

  constructor(cause: Cause) {
    super(`passkey ceremony failed: ${cause}`);
    this.name = 'CeremonyFailed';
    this.cause = cause;
  }
}

export type Rule = [cause: Cause, passes: boolean];

/** @throws CeremonyFailed with the cause of the first rule that does not pass */
export function assertRules(rules: Rule[]): void {
  const broken = rules.find(([, passes]) => !passes);
  if (broken) throw new CeremonyFailed(broken[0]);
}

const clientData = z.object({
  type: z.string(),
  challenge: z.string(),
  origin: z.string(),
  crossOrigin: z.boolean().optional(),
  topOrigin: z.string().optional(),
  tokenBinding: z.object({ status: z.string() }).optional(),
});

/** @throws CeremonyFailed */
export function assertClientData(
  bytes: Buffer,
  rp: RelyingParty,
  { type, challenge }: { type: string; challenge: Buffer },
): void {
  const client = orFail('client data', () => clientData.parse(JSON.parse(UTF_8.decode(bytes))));
  assertRules([
    ['type', client.type === type],
    ['challenge', isEqual(client.challenge, challenge.toString('base64url'))],
    ['origin', rp.origins.includes(client.origin)],
    // No page of another origin may embed a ceremony.
    ['cross origin', client.crossOrigin !== true && client.topOrigin === undefined],
    // The service takes part in no token binding.
    ['token binding', client.tokenBinding === undefined || client.tokenBinding.status === 'supported'],
  ]);
}

const UTF_8 = new TextDecoder('utf-8', { fatal: true });

export type AuthenticatorData = ReturnType<typeof parseAuthenticatorData>;

/** @throws CeremonyFailed, also for trailing bytes */
export function readAuthenticatorData(
  bytes: Uint8Array,
  rp: RelyingParty,
  { requiresUserVerification }: { requiresUserVerification: boolean },
): AuthenticatorData {
  const data = orFail('authenticator data', () => parseAuthenticatorData(new Uint8Array(bytes)));
  const { up, uv, be, bs } = data.flags;
  assertRules([
    ['relying party', isEqual(Buffer.from(data.rpIdHash), createHash('sha256').update(rp.id).digest())],
    ['user presence', up],
    ['user verification', uv || !requiresUserVerification],
    // A passkey that may not be backed up cannot be backed up.
    ['backup flags', be || !bs],
  ]);
  return data;
}

/** Hides the error of a decoder. */
export function orFail<T>(cause: Cause, decode: () => T): T {
  try {
    return decode();
  } catch {
    throw new CeremonyFailed(cause);
  }
}
