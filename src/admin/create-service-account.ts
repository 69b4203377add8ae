import type { Deps } from '../deps.ts';
import { type Actor, actorName } from '../domain/actor.ts';
import { parseLine, parseReason } from '../domain/admin-reason.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { parseServiceName } from '../domain/service-name.ts';

export type CreateServiceAccountInput = { actor: Actor; name: string; description: string; reason: string };

/** Returns the id of the account. @throws AuthError SERVICE_NAME_TAKEN */
export async function createServiceAccount(
  { store, now, newId }: Pick<Deps, 'store' | 'now' | 'newId'>,
  { actor, ...input }: CreateServiceAccountInput,
  { origin }: Call,
): Promise<string> {
  const { name, description, reason } = parseFields({
    name: () => parseServiceName(input.name),
    description: () => parseLine(input.description),
    reason: () => parseReason(input.reason),
  });
  const id = newId();
  const createdBy = actorName(actor);
  const created = await store.serviceAccounts.create(
    { id, name, description, createdBy },
    {
      actor,
      at: now(),
      effects: [
        audit({
          type: 'service_account_created',
          actor: createdBy,
          target: `service_account:${id}`,
          detail: reason,
          origin,
          before: null,
          after: { name, description, roles: [], disabledAt: null },
        }),
      ],
    },
  );
  if (!created) throw new AuthError('SERVICE_NAME_TAKEN');
  return id;
}
