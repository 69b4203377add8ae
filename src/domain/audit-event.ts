import type { AuditType } from './audit-event-types.ts';

export type Origin = {
  address: string;
  userAgent: string;
  requestId: string;
};

/** Contains no secret and no email: users appear by id, or by `account`, a keyed hash of an email. */
export type AuditEvent = {
  type: AuditType;
  userId?: string;
  sessionId?: string;
  account?: string;
  /** One word: the cause of a failure, the limit, the RPC, the role. */
  detail?: string;
  /** The subject who acted on another one, as `subjectName` writes it. */
  actor?: string;
  /** The object of the action when it is no user: `role:editor`. */
  target?: string;
  before?: object | null;
  after?: object | null;
  origin: Origin;
};

/** A stored event. Times are in UTC with microseconds in `ChainedEvent`, and `Date` here. */
export type AuditRecord = {
  seq: bigint;
  id: string;
  occurredAt: Date;
  type: string;
  userId: string | null;
  sessionId: string | null;
  account: string | null;
  detail: string | null;
  actor: string | null;
  target: string | null;
  before: Record<string, unknown> | null;
  after: Record<string, unknown> | null;
  address: string;
  userAgent: string;
  requestId: string;
  hash: Buffer;
};
