import type { Deps } from '../deps.ts';
import type { AuditRecord } from '../domain/audit-event.ts';
import { cutPage, parsePageSize } from '../domain/page.ts';
import { formatPageToken, parsePageToken } from '../domain/page-token.ts';
import { invalid, parseFields } from '../domain/parse-fields.ts';
import type { AuditFilter } from '../store/audit-trail.ts';
import { auditFilterParsers } from './audit-filter.ts';

export type QueryAuditEventsInput = AuditFilter & { pageSize: number; pageToken: string };

/** The newest first. */
export async function queryAuditEvents(
  { store }: Pick<Deps, 'store'>,
  { pageSize, pageToken, ...filter }: QueryAuditEventsInput,
): Promise<{ events: AuditRecord[]; nextPageToken: string }> {
  const query = JSON.stringify(['QueryAuditEvents', filter]);
  const { page_size: size, page_token: before } = parseFields({
    ...auditFilterParsers(filter),
    page_size: () => parsePageSize(pageSize),
    page_token: () => parsePageToken(pageToken, query, parseSeq),
  });
  const found = await store.auditTrail.before(before === '' ? null : BigInt(before), filter, size + 1);
  const { page: events, nextAfter: last } = cutPage(found, size);
  return { events, nextPageToken: last ? formatPageToken(String(last.seq), query) : '' };
}

function parseSeq(text: string): string {
  return /^\d{1,18}$/.test(text) ? text : invalid('must be a number');
}
