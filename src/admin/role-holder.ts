import type { Reason } from '../domain/error-reason.ts';
import { invalid } from '../domain/parse-fields.ts';
import { parseUuid } from '../domain/uuid.ts';
import type { RoleHolder } from '../store/role-grants.ts';

/** One of the two ids is empty. */
export type HolderInput = { userId: string; serviceAccountId: string };

export function holderParsers({ userId, serviceAccountId }: HolderInput) {
  return {
    user_id: () => (userId === '' && serviceAccountId !== '' ? '' : parseUuid(userId)),
    service_account_id: () => {
      if (serviceAccountId === '') return '';
      return userId === '' ? parseUuid(serviceAccountId) : invalid('must be empty when there is a user_id');
    },
  };
}

export function holderOf({ userId, serviceAccountId }: HolderInput): RoleHolder {
  return serviceAccountId === '' ? { userId } : { serviceAccountId };
}

export function unknownHolder(holder: RoleHolder): Reason {
  return 'userId' in holder ? 'USER_NOT_FOUND' : 'SERVICE_ACCOUNT_NOT_FOUND';
}

export function auditedGrant(holder: RoleHolder, role: string): { userId?: string; target: string } {
  if ('userId' in holder) return { userId: holder.userId, target: `role:${role}` };
  return { target: `role:${role} of service_account:${holder.serviceAccountId}` };
}
