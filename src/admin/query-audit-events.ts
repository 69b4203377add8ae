import type { Deps } from '../deps.ts';
import type { AuditRecord } from '../domain/audit-event.ts';
import { cutPage, parsePageSize } from '../domain/page.ts';
import { formatPageToken, parsePageToken } from '../domain/page-token.ts';
import { invalid, parseFields } from '../domain/parse-fields.ts';
import { type AuditFilterInput, auditFilterParsers, personOf } from './audit-filter.ts';

export type QueryAuditEventsInput = AuditFilterInput & { pageSize: number; pageToken: string };

/** The newest first. */
export async function queryAuditEvents(
  deps: Pick<Deps, 'store' | 'purposeKeys'>,
  { pageSize, pageToken, ...input }: QueryAuditEventsInput,
): Promise<{ events: AuditRecord[]; nextPageToken: string }> {
  const query = JSON.stringify(['QueryAuditEvents', input]);
  const {
    page_size: size,
    page_token: before,
    email,
    network,
  } = parseFields({
    ...auditFilterParsers(input),
    page_size: () => parsePageSize(pageSize),
    page_token: () => parsePageToken(pageToken, query, parseSeq),
  });
  const filter = { ...input, network, ...(email && { person: await personOf(deps, email) }) };
  const found = await deps.store.auditTrail.before(before === '' ? null : BigInt(before), filter, size + 1);
  const { page: events, nextAfter: last } = cutPage(found, size);
  return { events, nextPageToken: last ? formatPageToken(String(last.seq), query) : '' };
}

function parseSeq(text: string): string {
  return /^\d{1,18}$/.test(text) ? text : invalid('must be a number');
}
