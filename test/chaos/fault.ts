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
  /** By which one row is run, such as `postgres-crashed`. */
  name: string;
  /** One sentence for the table. */
  does: string;
  /** The default is one Redis, a direct connection to Postgres, and the present release. */
  shape?: Partial<Shape>;
  inject(context: FaultContext): Promise<void>;
  heal(context: FaultContext): Promise<void>;
  /** How long the fault lasts at least; the command line can make it longer. */
  holdSeconds?: number;
  /** How long all effects may take after the recovery. */
  settleSeconds?: number;
  /** The longest time for which a revoked token may be accepted. One second where it is not given. */
  revocationBoundMs?: number;
  /** Servers that cannot reach Postgres while the fault lasts: after five seconds they accept no token. */
  withoutPostgres?: ('serve-1' | 'serve-2')[];
  /** Lines of the log that show that the service met the fault. */
  evidence?: RegExp;
  /** Committed transactions are lost by the nature of the fault. */
  losesCommittedData?: boolean;
  /** The next row gets a new deployment. */
  destroys?: boolean;
  /** Why it cannot be run here, or null. */
  whyNot?(): Promise<string | null> | string | null;
};

/** For faults that do not say otherwise. */
export const HOLD_SECONDS = 6;
// The relay looks after a minute for a job that was lost.
export const SETTLE_SECONDS = 90;
export const REVOCATION_BOUND_MS = 1_000;

const DEFAULT_SHAPE: Shape = { redis: 'standalone', postgres: 'direct', release: 'present' };

export function shapeOf(fault: Fault): Shape {
  return { ...DEFAULT_SHAPE, ...fault.shape };
}
