import type { Origin } from './audit-event.ts';

/** What a verb knows of the call it serves, besides its input. */
export type Call = {
  origin: Origin;
  /** Aborts when nobody waits for the answer any more. */
  signal: AbortSignal;
};
