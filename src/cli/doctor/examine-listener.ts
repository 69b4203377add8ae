import type { Db } from '../../store/postgres/database.ts';
import { probeListen } from '../../store/postgres/probe-listen.ts';
import { createRevocationEvents } from '../../store/revocation-events.ts';
import { type Finding, failure, ok } from './finding.ts';

/** An operator waits, and a notification takes milliseconds. */
const TIMEOUT_MS = 2_000;

/** @param listenUrl null where the service only polls */
export async function examineListener(db: Db, listenUrl: string | null): Promise<Finding> {
  const check = 'revocation notices';
  if (listenUrl === null) return ok(check, 'off: DATABASE_LISTEN_URL=none, so revocations are polled');
  const { notify } = createRevocationEvents(db);
  const reason = await probeListen(listenUrl, notify, TIMEOUT_MS);
  if (reason === null) return ok(check, 'arrive at once');
  const remedy = 'let DATABASE_LISTEN_URL lead to Postgres, past PgBouncer: until then revocations are polled';
  return { ...failure(check, reason, remedy), state: 'warning' };
}
