import { AUDIT_EVENT_TYPES } from '../../domain/audit-event-types.ts';
import { code, escapeTags, paragraphs, table } from './markdown.ts';
import type { Page } from './page.ts';

export function auditEventsPage(): Page {
  return {
    path: 'docs/reference/audit-events.md',
    text: paragraphs(
      '# Audit events',
      'Each audit event has one of these types.',
      'QueryAuditEvents, StreamAuditEvents and `latchkey audit list --type` filter by them. [AuditEvent](admin-service.md#auditevent) describes the fields, and [Audit trail](../concepts/audit-trail.md) how the events are recorded and verified.',
      table(
        ['Type', 'Meaning'],
        Object.entries(AUDIT_EVENT_TYPES).map(([type, meaning]) => [code(type), escapeTags(meaning)]),
      ),
    ),
  };
}
