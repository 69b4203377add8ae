import type { Deps } from '../deps.ts';
import { type Actor, requireReauthentication } from '../domain/actor.ts';
import { parseReason } from '../domain/admin-reason.ts';
import type { Call } from '../domain/call.ts';
import { invalid, parseFields } from '../domain/parse-fields.ts';

export type RetireSigningKeyInput = { actor: Actor; kid: string; reason: string };

/**
 * Rejects all tokens of the key within one second. Verifiers that use only the JWKS follow when they refresh it.
 * @throws AuthError SIGNING_KEY_NOT_FOUND
 */
export async function retireSigningKey(
  {
    keyRotation,
    revocationFeed,
    reauthenticationSeconds,
  }: Pick<Deps, 'keyRotation' | 'revocationFeed' | 'reauthenticationSeconds'>,
  { actor, ...input }: RetireSigningKeyInput,
  { origin }: Call,
): Promise<void> {
  const { kid, reason } = parseFields({
    kid: () => (/^[\w-]{43}$/.test(input.kid) ? input.kid : invalid('must be the kid of a key (43 characters)')),
    reason: () => parseReason(input.reason),
  });
  await keyRotation.remove(kid, {
    actor: requireReauthentication(actor, reauthenticationSeconds),
    detail: reason,
    origin,
  });
  await revocationFeed.catchUp();
}
