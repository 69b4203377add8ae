import type { Deps } from '../deps.ts';
import { cutPage, parsePageSize } from '../domain/page.ts';
import { formatPageToken, parsePageToken } from '../domain/page-token.ts';
import { parseFields } from '../domain/parse-fields.ts';
import type { AuditFilter, AuditRecord } from '../store/audit-trail.ts';
import { auditFilterParsers } from './audit-filter.ts';

export type QueryAuditEventsInput = AuditFilter & { pageSize: number; pageToken: string };

/** The newest first. */
export async function queryAuditEvents(
  { store, purposeKeys }: Pick<Deps, 'store' | 'purposeKeys'>,
  { pageSize, pageToken, ...filter }: QueryAuditEventsInput,
): Promise<{ events: AuditRecord[]; nextPageToken: string }> {
  const question = JSON.stringify(['QueryAuditEvents', filter]);
  const { page_size: size, page_token: before } = parseFields({
    ...auditFilterParsers(filter),
    page_size: () => parsePageSize(pageSize),
    page_token: () => parsePageToken(pageToken, question, purposeKeys.pageTokens),
  });
  const found = await store.auditTrail.before(before === '' ? null : BigInt(before), filter, size + 1);
  const { page: events, goesOnAfter: last } = cutPage(found, size);
  return { events, nextPageToken: last ? formatPageToken(String(last.seq), question, purposeKeys.pageTokens) : '' };
}
