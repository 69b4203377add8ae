import { isAuditType } from '../domain/audit-event-types.ts';
import { InvalidValue, invalid } from '../domain/parse-fields.ts';
import { parseUuid } from '../domain/uuid.ts';
import type { AuditFilter } from '../store/audit-trail.ts';

const MAX_ACTOR = 200;
const UNKNOWN_TYPE = 'must be an audit event type, such as role_granted';

export function auditFilterParsers(filter: AuditFilter) {
  return {
    user_id: () => (filter.userId === '' ? '' : parseUuid(filter.userId)),
    actor: () => parseActor(filter.actor),
    type: () => (filter.type === '' || isAuditType(filter.type) ? filter.type : invalid(UNKNOWN_TYPE)),
  };
}

function parseActor(text: string): string {
  if (text.length > MAX_ACTOR || text.includes('\0'))
    throw new InvalidValue('must have the form of an actor in audit events');
  return text;
}
