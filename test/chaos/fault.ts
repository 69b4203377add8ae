import type { Deployment, Shape } from './deployment.ts';
import type { Load } from './load.ts';

export type FaultContext = {
  deployment: Deployment;
  /** For faults that are a load of their own. */
  load: Load;
  /** Adds a sentence to the row. */
  note(sentence: string): void;
  /** Runs when the row ends, whether or not the fault was healed. */
  afterwards(cleanUp: () => Promise<void>): void;
};

export type Fault = {
  /** The name for running one row, such as `postgres-crashed`. */
  name: string;
  /** One sentence for the table. */
  does: string;
  /** The default is one Redis, a direct connection to Postgres, and the current release. */
  shape?: Partial<Shape>;
  inject(context: FaultContext): Promise<void>;
  heal(context: FaultContext): Promise<void>;
  /** The minimum duration of the fault. The command line can extend it. */
  holdSeconds?: number;
  /** The time in which all effects must be done after the recovery. */
  settleSeconds?: number;
  /** The longest time for which a revoked token may be accepted. One second by default. */
  revocationBoundMs?: number;
  /** Servers that cannot reach Postgres while the fault lasts: after five seconds they accept no token. */
  withoutPostgres?: ('serve-1' | 'serve-2')[];
  /** Lines of the log that show that the service met the fault. */
  evidence?: RegExp;
  /** The fault loses committed transactions by its nature. */
  losesCommittedData?: boolean;
  /** The next row gets a new deployment. */
  destroys?: boolean;
  /** The reason why it cannot run here, or null. */
  whyNot?(): Promise<string | null> | string | null;
};

/** The default for faults. */
export const HOLD_SECONDS = 6;
// The relay checks for a lost job after a minute.
export const SETTLE_SECONDS = 90;
export const REVOCATION_BOUND_MS = 1_000;

const DEFAULT_SHAPE: Shape = { redis: 'standalone', postgres: 'direct', release: 'present' };

export function shapeOf(fault: Fault): Shape {
  return { ...DEFAULT_SHAPE, ...fault.shape };
}
