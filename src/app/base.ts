// The things that both parts of the service are made of. src/app.ts constructs them.
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
  /** For errors that come by the dozen: a line now and then. */
  complain(about: string): (error: unknown) => void;
  metrics: Metrics;
  tracing: Tracing | null;
  traced: Tracing['traced'];
  /** A pool of the service's database, under a name for the metrics. */
  connect(name: string, poolSize: number): Db;
  db: Db;
  guard: PrimaryGuard;
  clockAheadMs: DatabaseClock['aheadMs'];
  /** Does to the signing keys what the time has come for. */
  rotateKeys: () => Promise<number>;
  view: RevocationView;
  graceMs: number;
};

/** A part that probes ask about. */
export type Probed = { port: number; stopServing(): void };

/** How long a stop waits for a dependency that does not answer. */
export const FORCED_CLOSE_MS = 2_000;
