import type { Origin } from './audit-event.ts';

/** The call that a use case serves, apart from its input. */
export type Call = {
  origin: Origin;
  /** Aborts when the client has cancelled the call or disconnected. */
  signal: AbortSignal;
};
