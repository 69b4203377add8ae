// Faults of one Postgres server, and of the way to it.
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Fault, FaultContext } from '../fault.ts';
import type { ServiceNode } from '../service-node.ts';

const BOTH = ['serve-1', 'serve-2'] satisfies Fault['withoutPostgres'];

function setCables(nodes: (context: FaultContext) => ServiceNode[], mode: 'open' | 'silent' | 'cut') {
  return async (context: FaultContext) => {
    for (const { cables } of nodes(context)) {
      cables.postgres.mode = mode;
      if (mode === 'cut') cables.postgres.cutAll();
    }
  };
}
const all = ({ deployment }: FaultContext) => deployment.nodes;
const secondServer = ({ deployment }: FaultContext) => [deployment.servers[1]];

/** Runs statements in a transaction that stays open until the row ends or the returned function is called. */
async function holdTransaction(
  { deployment, afterwards }: FaultContext,
  ...statements: string[]
): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: deployment.postgres.primary.url('latchkey') });
  client.on('error', () => {});
  await client.connect();
  const release = async () => client.end().catch(() => {});
  afterwards(release);
  await client.query('BEGIN');
  for (const statement of statements) await client.query(statement);
  return release;
}

/** For faults that hold a transaction from their injection to their healing. */
function locked(name: string, does: string, statements: string[], more: Partial<Fault> = {}): Fault {
  let release = async () => {};
  return {
    name,
    does,
    inject: async (context) => {
      release = await holdTransaction(context, ...statements);
    },
    heal: () => release(),
    ...more,
  };
}

function setting(name: string, does: string, values: Record<string, string>, more: Partial<Fault> = {}): Fault {
  const apply = async ({ deployment }: FaultContext, change: (name: string, value: string) => string) => {
    const { primary } = deployment.postgres;
    for (const [key, value] of Object.entries(values)) await asWriter(primary.url('postgres'), change(key, value));
    await primary.query('SELECT pg_reload_conf()', [], 'postgres');
  };
  const heal = (context: FaultContext) => apply(context, (key) => `ALTER SYSTEM RESET ${key}`);
  return {
    name,
    does,
    inject: async (context) => {
      context.afterwards(() => heal(context));
      await apply(context, (key, value) => `ALTER SYSTEM SET ${key} = '${value}'`);
    },
    heal,
    ...more,
  };
}

/** Also where new transactions are read-only. */
async function asWriter(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, options: '-c default_transaction_read_only=off' });
  await client.connect();
  await client.query(statement).finally(() => client.end());
}

const terminateAll = ({ deployment }: FaultContext) =>
  deployment.postgres.primary.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'chaos_service'",
  );

export const postgresFaults: Fault[] = [
  {
    name: 'postgres-restarted',
    does: 'Postgres is stopped in good order and started again',
    holdSeconds: 3,
    inject: ({ deployment }) => deployment.postgres.primary.stop('SIGINT'),
    heal: ({ deployment }) => deployment.postgres.primary.start(),
  },
  {
    name: 'postgres-immediate',
    does: 'Postgres is stopped at once (immediate shutdown) and recovers from its log',
    holdSeconds: 1,
    inject: ({ deployment }) => deployment.postgres.primary.stop('SIGQUIT'),
    heal: ({ deployment }) => deployment.postgres.primary.start(),
  },
  {
    name: 'postgres-crashed',
    does: 'every process of Postgres is killed, and it recovers from its log',
    holdSeconds: 1,
    inject: ({ deployment }) => deployment.postgres.primary.stop('SIGKILL'),
    heal: ({ deployment }) => deployment.postgres.primary.start(),
  },
  {
    name: 'postgres-hung',
    does: 'every process of Postgres hangs (SIGSTOP) for ten seconds',
    holdSeconds: 10,
    inject: async ({ deployment }) => deployment.postgres.primary.freeze(),
    heal: async ({ deployment }) => deployment.postgres.primary.thaw(),
    withoutPostgres: [...BOTH],
    revocationBoundMs: 5_500,
  },
  {
    name: 'postgres-partitioned',
    does: 'the network between every process and Postgres swallows everything for ten seconds',
    holdSeconds: 10,
    inject: setCables(all, 'silent'),
    heal: setCables(all, 'open'),
    withoutPostgres: [...BOTH],
    revocationBoundMs: 5_500,
  },
  {
    name: 'one-server-partitioned',
    does: 'one serve process cannot reach Postgres for ten seconds, the others can',
    holdSeconds: 10,
    inject: setCables(secondServer, 'silent'),
    heal: setCables(secondServer, 'open'),
    withoutPostgres: ['serve-2'],
    revocationBoundMs: 5_500,
  },
  {
    name: 'postgres-refused',
    does: 'connections to Postgres are refused and those that exist are cut',
    holdSeconds: 8,
    inject: setCables(all, 'cut'),
    heal: setCables(all, 'open'),
    withoutPostgres: [...BOTH],
    revocationBoundMs: 5_500,
  },
  {
    name: 'connections-cut',
    does: 'connections to Postgres are cut one by one, every fifty milliseconds',
    inject: async ({ deployment, load, afterwards }) => {
      let isHealed = false;
      afterwards(async () => {
        isHealed = true;
      });
      load.beside(
        (async () => {
          for (let n = 0; n < 100 && !isHealed; n += 1) {
            deployment.nodes[n % deployment.nodes.length]?.cables.postgres.cutOldest();
            await sleep(50);
          }
        })(),
      );
    },
    heal: async () => {},
  },
  {
    name: 'connections-swallowed',
    does: 'every existing connection to Postgres is forgotten by a firewall; new ones work',
    inject: async ({ deployment }) => {
      for (const { cables } of deployment.nodes) cables.postgres.swallowAll();
    },
    heal: async () => {},
    revocationBoundMs: 5_500,
  },
  {
    name: 'connections-half-closed',
    does: 'every existing connection to Postgres is half-closed',
    inject: async ({ deployment }) => {
      for (const { cables } of deployment.nodes) cables.postgres.halfCloseAll();
    },
    heal: async () => {},
  },
  {
    name: 'backends-terminated',
    does: 'an administrator terminates every connection of the service (57P01), six times',
    inject: async (context) => {
      for (let n = 0; n < 6; n += 1) {
        await terminateAll(context);
        await sleep(500);
      }
    },
    holdSeconds: 1,
    heal: async () => {},
  },
  setting(
    'postgres-read-only',
    'Postgres accepts no writes (default_transaction_read_only)',
    { default_transaction_read_only: 'on' },
    {},
  ),
  setting('statements-time-out', 'a statement may take one millisecond', { statement_timeout: '1' }, {}),
  {
    name: 'out-of-connections',
    does: 'other clients take every connection that Postgres has',
    inject: async ({ deployment, afterwards }) => {
      const clients: pg.Client[] = [];
      afterwards(async () => void (await Promise.all(clients.map((client) => client.end().catch(() => {})))));
      await deployment.postgres.primary.query('CREATE ROLE hoarder LOGIN PASSWORD $$hoarder$$').catch(() => {});
      const url = new URL(deployment.postgres.primary.url('latchkey'));
      url.username = url.password = 'hoarder';
      for (let n = 0; n < 100; n += 1) {
        const client = new pg.Client({ connectionString: url.href });
        client.on('error', () => {});
        const isIn = await client
          .connect()
          .then(() => true)
          .catch(() => false);
        if (!isIn) break;
        clients.push(client);
      }
      // Those of the service go now and find no room.
      await deployment.postgres.primary.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'chaos_service'",
      );
      for (let n = clients.length; n < 100; n += 1) {
        const client = new pg.Client({ connectionString: url.href });
        client.on('error', () => {});
        if (
          !(await client
            .connect()
            .then(() => true)
            .catch(() => false))
        )
          break;
        clients.push(client);
      }
    },
    heal: ({ deployment }) =>
      deployment.postgres.primary
        .query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'hoarder'")
        .then(() => {}),
    withoutPostgres: [...BOTH],
    revocationBoundMs: 5_500,
  },
  locked(
    'sessions-locked',
    'another transaction locks the sessions table for six seconds',
    ['LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE'],
    {
      revocationBoundMs: 5_500,
    },
  ),
  locked('users-locked', 'another transaction locks the users table against writes for six seconds', [
    'LOCK TABLE users IN EXCLUSIVE MODE',
  ]),
  locked('audit-chain-locked', 'another transaction locks the end of the audit chain for six seconds', [
    'SELECT FROM audit_chain FOR UPDATE',
  ]),
  locked('outbox-locked', 'another transaction locks the outbox against writes for six seconds', [
    'LOCK TABLE outbox IN EXCLUSIVE MODE',
  ]),
  {
    name: 'deadlocks',
    does: 'other transactions lock rows of users and sessions in the opposite order, again and again',
    inject: async ({ deployment, load, note }) => {
      const { primary } = deployment.postgres;
      load.beside(
        (async () => {
          let found = 0;
          for (let n = 0; n < 30 && !load.isStopping(); n += 1) {
            const statement = `SELECT FROM sessions WHERE ended_at IS NULL FOR UPDATE; SELECT FROM users FOR UPDATE`;
            await Promise.all([
              primary.query(`BEGIN; ${statement}; SELECT pg_sleep(0.1); ROLLBACK`).catch(() => (found += 1)),
              primary.query(`BEGIN; SELECT FROM users FOR UPDATE; ${statement}; ROLLBACK`).catch(() => (found += 1)),
            ]);
            await sleep(50);
          }
          note(`${found} transactions of the other client were ended by Postgres`);
        })(),
      );
    },
    heal: async () => {},
  },
];
