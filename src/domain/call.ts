import type { Origin } from './audit-event.ts';

export type Call = {
  origin: Origin;
  /** Aborts when the client has cancelled the call or disconnected. */
  signal: AbortSignal;
};
