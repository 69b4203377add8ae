import type { Deps } from '../deps.ts';
import { type Actor, actorName } from '../domain/actor.ts';
import { parseReason } from '../domain/admin-reason.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { parseUuid } from '../domain/uuid.ts';
import { assertMayAdminister } from './authorize-admin.ts';

export type RevokeApiKeyInput = { actor: Actor; apiKeyId: string; reason: string };

/** Its tokens are revoked within one second. @throws AuthError API_KEY_NOT_FOUND or GRANT_NOT_ALLOWED */
export async function revokeApiKey(
  { store, revocationFeed, now }: Pick<Deps, 'store' | 'revocationFeed' | 'now'>,
  { actor, ...input }: RevokeApiKeyInput,
  { origin }: Call,
): Promise<void> {
  const { api_key_id: id, reason } = parseFields({
    api_key_id: () => parseUuid(input.apiKeyId),
    reason: () => parseReason(input.reason),
  });
  const at = now();
  const revoked = await store.serviceAccounts.revokeKey(id, {
    actor,
    at,
    decide: assertMayAdminister,
    effects: (key) => [
      audit({
        type: 'api_key_revoked',
        actor: actorName(actor),
        target: `api_key:${id}`,
        detail: reason,
        origin,
        before: { ...key, revokedAt: null },
        after: { ...key, revokedAt: at },
      }),
    ],
  });
  if (!revoked) throw new AuthError('API_KEY_NOT_FOUND');
  await revocationFeed.catchUp();
}
