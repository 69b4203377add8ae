// The objects that both parts of the service share. src/app constructs the parts from settings. It must not contain
// rules.

import type { Config } from '../config/config.ts';
import type { Deps } from '../deps.ts';
import type { Log } from '../process/log.ts';
import type { Db } from '../store/postgres/database.ts';
import type { DatabaseClock } from '../store/postgres/database-clock.ts';
import type { PrimaryGuard } from '../store/postgres/primary-guard.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Tracing } from '../telemetry/tracing.ts';
import type { RevocationView } from '../verifier/revocation-view.ts';

export type Base = Pick<Deps, 'store' | 'purposeKeys' | 'signingKeys' | 'keyRotation' | 'now' | 'newId'> & {
  config: Config;
  log: Log;
  /** Writes at most one log line in ten seconds. */
  warnRarely(about: string): (error: unknown) => void;
  metrics: Metrics;
  tracing: Tracing | null;
  traced: Tracing['traced'];
  connect(name: string, poolSize: number): Db;
  db: Db;
  guard: PrimaryGuard;
  clockAheadMs: DatabaseClock['aheadMs'];
  rotateKeys: () => Promise<number>;
  view: RevocationView;
  graceMs: number;
};

export type Probed = { port: number; stopServing(): void };

/** The stop waits this long for a dependency that does not answer. */
export const FORCED_CLOSE_MS = 2_000;
