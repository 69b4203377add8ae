import { isUuid } from '../../domain/uuid.ts';
import type { Members } from './members.ts';

/** A UUID becomes the id of the user. Any other id is kept as the external id. */
export function idMembers(id: unknown): Members {
  return typeof id === 'string' && isUuid(id.toLowerCase()) ? { id } : { external_id: id };
}
