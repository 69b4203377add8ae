import type { Deps } from '../deps.ts';
import { type Actor, actorName, requireReauthentication } from '../domain/actor.ts';
import { parseLine, parseReason } from '../domain/admin-reason.ts';
import { apiKeyHash, newApiKey } from '../domain/api-key.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { invalid, parseFields } from '../domain/parse-fields.ts';
import { parseUuid } from '../domain/uuid.ts';
import { assertMayAdminister } from './authorize-admin.ts';

export type CreateApiKeyInput = {
  actor: Actor;
  serviceAccountId: string;
  name: string;
  /** Null for a year, or the configured maximum if that is less. */
  expiresAt: Date | null;
  reason: string;
};

const DEFAULT_DAYS = 365;
const DAY_MS = 86_400_000;

/** Returns the key once. @throws AuthError SERVICE_ACCOUNT_NOT_FOUND or GRANT_NOT_ALLOWED */
export async function createApiKey(
  deps: Pick<Deps, 'store' | 'apiKeyMaxDays' | 'reauthenticationSeconds' | 'now' | 'newId'>,
  { actor, ...input }: CreateApiKeyInput,
  { origin }: Call,
): Promise<{ id: string; key: string; expiresAt: Date }> {
  const { store, apiKeyMaxDays, now, newId } = deps;
  const at = now();
  const {
    service_account_id: serviceAccountId,
    name,
    expires_at: expiresAt,
    reason,
  } = parseFields({
    service_account_id: () => parseUuid(input.serviceAccountId),
    name: () => parseLine(input.name) || invalid('is required'),
    expires_at: () => parseExpiry(input.expiresAt, apiKeyMaxDays, at),
    reason: () => parseReason(input.reason),
  });
  const [id, key, createdBy] = [newId(), newApiKey(), actorName(actor)];
  const added = await store.serviceAccounts.addKey(
    { id, serviceAccountId, name, hash: apiKeyHash(key), createdBy, expiresAt },
    {
      actor: requireReauthentication(actor, deps.reauthenticationSeconds),
      at,
      // The key carries the roles of its account.
      decide: assertMayAdminister,
      effects: () => [
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
    },
  );
  if (!added) throw new AuthError('SERVICE_ACCOUNT_NOT_FOUND');
  return { id, key, expiresAt };
}

function parseExpiry(requested: Date | null, maxDays: number, now: Date): Date {
  const inDays = (days: number) => new Date(now.getTime() + days * DAY_MS);
  const expiresAt = requested ?? inDays(Math.min(DEFAULT_DAYS, maxDays));
  if (expiresAt <= now) return invalid('must be in the future');
  return expiresAt > inDays(maxDays) ? invalid(`must be at most ${maxDays} days from now`) : expiresAt;
}
