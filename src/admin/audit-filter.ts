import type { Deps } from '../deps.ts';
import { accountHashes } from '../domain/account-hash.ts';
import { isAuditType } from '../domain/audit-event-types.ts';
import { type Email, parseEmail } from '../domain/email.ts';
import { InvalidValue, invalid } from '../domain/parse-fields.ts';
import { parseNetwork } from '../domain/parse-network.ts';
import { parseUuid } from '../domain/uuid.ts';
import type { AuditFilter } from '../store/audit-trail.ts';

/** An empty or null field matches every event. */
export type AuditFilterInput = Omit<AuditFilter, 'person'> & { email?: string };

const MAX_NAME = 200;
const UNKNOWN_TYPE = 'must be an audit event type, such as role_granted';

export function auditFilterParsers(filter: AuditFilterInput) {
  const { userId, email = '', actor, type, target = '', network = '' } = filter;
  return {
    user_id: () => (userId === '' ? '' : parseUuid(userId)),
    email: () => (email === '' ? null : parseEmail(email)),
    actor: () => parseName(actor, 'an actor'),
    target: () => parseName(target, 'a target'),
    type: () => (type === '' || isAuditType(type) ? type : invalid(UNKNOWN_TYPE)),
    network: () => (network === '' ? '' : parseNetwork(network)),
  };
}

/** The trail holds keyed hashes of emails. It also leads from a former email to the users that had it. */
export async function personOf(
  { store, purposeKeys }: Pick<Deps, 'store' | 'purposeKeys'>,
  email: Email,
): Promise<NonNullable<AuditFilter['person']>> {
  const accounts = accountHashes(email, purposeKeys.accountHash);
  const [user, former] = await Promise.all([store.users.byEmail(email), store.auditTrail.usersOf(accounts)]);
  return { accounts, userIds: [...new Set([...(user ? [user.id] : []), ...former])] };
}

function parseName(text: string, kind: string): string {
  if (text.length > MAX_NAME || text.includes('\0')) {
    throw new InvalidValue(`must have the form of ${kind} in audit events`);
  }
  return text;
}
