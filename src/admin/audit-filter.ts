import { InvalidValue, invalid } from '../domain/parse-fields.ts';
import { parseUuid } from '../domain/uuid.ts';
import type { AuditFilter } from '../store/audit-trail.ts';

const TYPE = /^[a-z_]{1,64}$/;
const MAX_ACTOR = 200;

/** For parseFields. */
export function auditFilterParsers(filter: AuditFilter) {
  return {
    user_id: () => (filter.userId === '' ? '' : parseUuid(filter.userId)),
    actor: () => parseActor(filter.actor),
    type: () => (filter.type === '' || TYPE.test(filter.type) ? filter.type : invalid('must be a type of events')),
  };
}

function parseActor(text: string): string {
  if (text.length > MAX_ACTOR || text.includes('\0')) throw new InvalidValue('must be as events name actors');
  return text;
}
