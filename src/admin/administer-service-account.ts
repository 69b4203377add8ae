import type { Deps } from '../deps.ts';
import { type Actor, actorName, requireReauthentication } from '../domain/actor.ts';
import { parseReason } from '../domain/admin-reason.ts';
import type { AuditType } from '../domain/audit-event-types.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { parseUuid } from '../domain/uuid.ts';
import type { ServiceAccountChange } from '../store/service-accounts.ts';
import { assertMayAdminister } from './authorize-admin.ts';

export type AdministerServiceInput = { actor: Actor; serviceAccountId: string; reason: string };

type AdministerDeps = Pick<Deps, 'store' | 'revocationFeed' | 'reauthenticationSeconds' | 'now'>;

const AUDITED_AS: Record<ServiceAccountChange, AuditType> = {
  disable: 'service_account_disabled',
  enable: 'service_account_enabled',
  delete: 'service_account_deleted',
};

/** Rejects the keys of the account until it is enabled again. Its tokens are revoked permanently. */
export function disableServiceAccount(deps: AdministerDeps, input: AdministerServiceInput, call: Call): Promise<void> {
  return administer(deps, 'disable', input, call);
}

export function enableServiceAccount(deps: AdministerDeps, input: AdministerServiceInput, call: Call): Promise<void> {
  return administer(deps, 'enable', input, call);
}

export function deleteServiceAccount(deps: AdministerDeps, input: AdministerServiceInput, call: Call): Promise<void> {
  return administer(deps, 'delete', input, call);
}

/** These changes restore access or cannot be undone. */
const REAUTHENTICATED: ServiceAccountChange[] = ['enable', 'delete'];

/** @throws AuthError SERVICE_ACCOUNT_NOT_FOUND or GRANT_NOT_ALLOWED */
async function administer(
  { store, revocationFeed, reauthenticationSeconds, now }: AdministerDeps,
  change: ServiceAccountChange,
  { actor, ...input }: AdministerServiceInput,
  { origin }: Call,
): Promise<void> {
  const { service_account_id: id, reason } = parseFields({
    service_account_id: () => parseUuid(input.serviceAccountId),
    reason: () => parseReason(input.reason),
  });
  const at = now();
  const changed = await store.serviceAccounts.change(id, change, {
    actor: REAUTHENTICATED.includes(change) ? requireReauthentication(actor, reauthenticationSeconds) : actor,
    at,
    decide: assertMayAdminister,
    effects({ name, description, roles, disabledAt }) {
      const event = { type: AUDITED_AS[change], actor: actorName(actor), target: `service_account:${id}` };
      const before = { name, description, roles, disabledAt };
      const after = change === 'delete' ? null : { ...before, disabledAt: change === 'disable' ? at : null };
      return [audit({ ...event, detail: reason, origin, before, after })];
    },
  });
  if (!changed) throw new AuthError('SERVICE_ACCOUNT_NOT_FOUND');
  await revocationFeed.catchUp();
}
