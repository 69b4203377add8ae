import type { Deps } from '../deps.ts';
import type { Actor } from '../domain/actor.ts';
import { parseReason } from '../domain/admin-reason.ts';
import type { Call } from '../domain/call.ts';
import { parseFields } from '../domain/parse-fields.ts';

export type RotateSigningKeysInput = { actor: Actor; reason: string };

/** @throws AuthError SIGNING_KEY_NOT_READY */
export async function rotateSigningKeys(
  { keyRotation, revocationFeed }: Pick<Deps, 'keyRotation' | 'revocationFeed'>,
  { actor, ...input }: RotateSigningKeysInput,
  { origin }: Call,
): Promise<void> {
  const { reason } = parseFields({ reason: () => parseReason(input.reason) });
  await keyRotation.rotate({ actor, detail: reason, origin });
  await revocationFeed.catchUp();
}
