import type { Deps } from '../deps.ts';
import { type Actor, actorName } from '../domain/actor.ts';
import { apiKeyHash, newApiKey } from '../domain/api-key.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { invalid, parseFields } from '../domain/parse-fields.ts';
import { parseLine, parseReason } from '../domain/reason.ts';
import { parseUuid } from '../domain/uuid.ts';
import { assertMayAdminister } from './may.ts';

export type CreateApiKeyInput = {
  actor: Actor;
  serviceAccountId: string;
  name: string;
  expiresAt: Date | null;
  reason: string;
};

/**
 * The key is in the answer and nowhere else: only its hash is kept.
 * @throws AuthError SERVICE_ACCOUNT_NOT_FOUND or GRANT_NOT_ALLOWED
 */
export async function createApiKey(
  { store, now, newId }: Pick<Deps, 'store' | 'now' | 'newId'>,
  { actor, expiresAt, ...input }: CreateApiKeyInput,
  { origin }: Call,
): Promise<{ id: string; key: string }> {
  const at = now();
  const {
    service_account_id: serviceAccountId,
    name,
    reason,
  } = parseFields({
    service_account_id: () => parseUuid(input.serviceAccountId),
    name: () => parseLine(input.name) || invalid('is required, to tell it from others'),
    expires_at: () => expiresAt && expiresAt <= at && invalid('must be in the future'),
    reason: () => parseReason(input.reason),
  });
  const [id, key, createdBy] = [newId(), newApiKey(), actorName(actor)];
  const added = await store.serviceAccounts.addKey(
    { id, serviceAccountId, name, hash: apiKeyHash(key), createdBy, expiresAt },
    actor,
    at,
    // Whoever has the key has its roles.
    assertMayAdminister,
    [
      audit({
        type: 'api_key_created',
        actor: createdBy,
        target: `api_key:${id}`,
        detail: reason,
        origin,
        before: null,
        after: { serviceAccountId, name, expiresAt, revokedAt: null },
      }),
    ],
  );
  if (!added) throw new AuthError('SERVICE_ACCOUNT_NOT_FOUND');
  return { id, key };
}
