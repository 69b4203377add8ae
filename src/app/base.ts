// The objects that both parts of the service share. src/app constructs the parts from settings. It must not contain rules.
import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import type { Deps } from '../deps.ts';
import type { Db } from '../store/postgres/database.ts';
import type { DatabaseClock } from '../store/postgres/database-clock.ts';
import type { PrimaryGuard } from '../store/postgres/primary-guard.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Tracing } from '../telemetry/tracing.ts';
import type { RevocationView } from '../verifier/revocation-view.ts';

export type Base = Pick<Deps, 'store' | 'purposeKeys' | 'signingKeys' | 'keyRotation' | 'now' | 'newId'> & {
  config: Config;
  log: Logger;
  /** For errors that can repeat quickly: one log line in ten seconds. */
  warnRarely(about: string): (error: unknown) => void;
  metrics: Metrics;
  tracing: Tracing | null;
  traced: Tracing['traced'];
  /** Creates a pool of database connections. @param name for the metrics */
  connect(name: string, poolSize: number): Db;
  db: Db;
  guard: PrimaryGuard;
  clockAheadMs: DatabaseClock['aheadMs'];
  /** Runs the key-rotation steps that are due. */
  rotateKeys: () => Promise<number>;
  view: RevocationView;
  graceMs: number;
};

/** A part that answers probes. */
export type Probed = { port: number; stopServing(): void };

/** Limit of the wait for a dependency that does not answer while the service stops. */
export const FORCED_CLOSE_MS = 2_000;
