// Faults of other clients of the same database, who hold locks.
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Fault, FaultContext } from '../fault.ts';

/** A transaction of another client that stays open from the injection to the healing. */
function locked(fault: Omit<Fault, 'inject' | 'heal'>, statement: string): Fault {
  let client: pg.Client;
  const release = async () => {
    await client.end().catch(() => {});
  };
  return {
    ...fault,
    heal: release,
    inject: async ({ deployment, afterwards }) => {
      client = new pg.Client({ connectionString: deployment.postgres.primary.url('latchkey') });
      client.on('error', () => {});
      await client.connect();
      afterwards(release);
      await client.query('BEGIN');
      await client.query(statement);
    },
  };
}

/** Two clients that lock the same rows in opposite orders. Returns how often Postgres ended one of them. */
async function deadlockRepeatedly({ deployment, load }: FaultContext): Promise<number> {
  const { primary } = deployment.postgres;
  const lockSessions = 'DO $$ BEGIN PERFORM FROM sessions WHERE ended_at IS NULL FOR UPDATE; END $$';
  const lockUsers = 'DO $$ BEGIN PERFORM FROM users FOR UPDATE; END $$';
  let ended = 0;
  const run = (...statements: string[]) =>
    primary.query(['BEGIN', "SET LOCAL deadlock_timeout = '100ms'", ...statements, 'ROLLBACK'].join('; ')).catch(() => {
      ended += 1;
    });
  for (let n = 0; n < 30 && !load.isStopping(); n += 1) {
    await Promise.all([
      run(lockSessions, 'SELECT pg_sleep(0.1)', lockUsers),
      run(lockUsers, 'SELECT pg_sleep(0.1)', lockSessions),
    ]);
    await sleep(50);
  }
  return ended;
}

export const lockFaults: Fault[] = [
  locked(
    {
      name: 'sessions-locked',
      does: 'another client locks the table of sessions for six seconds',
      revocationBoundMs: 5_500,
    },
    'LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE',
  ),
  locked(
    { name: 'users-locked', does: 'another client locks the table of users against writes for six seconds' },
    'LOCK TABLE users IN EXCLUSIVE MODE',
  ),
  locked(
    { name: 'audit-chain-locked', does: 'another client locks the end of the audit chain for six seconds' },
    'SELECT FROM audit_chain FOR UPDATE',
  ),
  locked(
    { name: 'outbox-locked', does: 'another client locks the outbox against writes for six seconds' },
    'LOCK TABLE outbox IN EXCLUSIVE MODE',
  ),
  {
    name: 'deadlocks',
    does: 'two other clients lock users and sessions in opposite orders, again and again',
    inject: async (context) => {
      const ended = deadlockRepeatedly(context);
      context.load.beside(
        ended.then((count) => context.note(`Postgres ended ${count} transactions of the other clients`)),
      );
    },
    heal: async () => {},
  },
];
