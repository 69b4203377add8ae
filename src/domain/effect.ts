import type { AuditEvent } from './audit-event.ts';
import type { MailOrder } from './mail-order.ts';

/** It is written to the outbox in the transaction of the state change, and the worker carries it out. */
export type Effect = { topic: 'audit'; payload: AuditEvent } | { topic: 'mail'; payload: MailOrder };

export function audit(event: AuditEvent): Effect {
  return { topic: 'audit', payload: event };
}

export function mail(order: MailOrder): Effect {
  return { topic: 'mail', payload: order };
}
