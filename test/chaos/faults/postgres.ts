// Faults of one Postgres server.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { eventually } from '../../support/eventually.ts';
import type { Fault, FaultContext } from '../fault.ts';

const LOGIN = 'chaos_service';
const HOARDER = 'hoarder';
const MAX_CONNECTIONS = 100;
const SMALL_DISK_MB = 96;

/** A setting of the server, from its injection to its healing. */
export function setting(fault: Omit<Fault, 'inject' | 'heal'>, name: string, value: string): Fault {
  const heal = async ({ deployment }: FaultContext) => {
    const { primary } = deployment.postgres;
    await asWriter(primary.url('postgres'), `ALTER SYSTEM RESET ${name}`);
    await primary.query('SELECT pg_reload_conf()', [], 'postgres');
  };
  return {
    ...fault,
    heal,
    inject: async (context) => {
      const { primary } = context.deployment.postgres;
      await primary.query(`ALTER SYSTEM SET ${name} = '${value}'`, [], 'postgres');
      await primary.query('SELECT pg_reload_conf()', [], 'postgres');
    },
  };
}

/** Also where new transactions are read-only. */
async function asWriter(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, options: '-c default_transaction_read_only=off' });
  await client.connect();
  await client.query(statement).finally(() => client.end());
}

async function terminate({ deployment }: FaultContext, user: string): Promise<void> {
  const { primary } = deployment.postgres;
  const statement = 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1';
  // Connections that are being rejected take the administrator's slots for a moment.
  await eventually(() => primary.query(statement, [user], 'postgres').catch(() => null), 30_000);
}

/** Opens connections until the server has none left. */
async function hoard(url: string, clients: pg.Client[]): Promise<void> {
  while (clients.length < MAX_CONNECTIONS) {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => {});
    const isConnected = await client.connect().then(
      () => true,
      () => false,
    );
    if (!isConnected) return;
    clients.push(client);
  }
}

async function takeAllConnections(context: FaultContext): Promise<void> {
  const { primary } = context.deployment.postgres;
  const clients: pg.Client[] = [];
  context.afterwards(async () => void (await Promise.all(clients.map((client) => client.end().catch(() => {})))));
  await primary.query(`CREATE ROLE ${HOARDER} LOGIN PASSWORD '${HOARDER}'`).catch(() => {});
  const url = new URL(primary.url('postgres'));
  [url.username, url.password] = [HOARDER, HOARDER];
  await hoard(url.href, clients);
  // The connections of the service end now, and the others take their slots.
  await terminate(context, LOGIN);
  await hoard(url.href, clients);
}

/** Runs a shell command as the server does, where the small disk is mounted. */
function onServer({ deployment }: FaultContext, command: string): Promise<unknown> {
  return deployment.postgres.primary.query(`COPY (SELECT 1) TO PROGRAM '${command}'`, [], 'postgres');
}

const disk = ({ deployment }: FaultContext) => join(deployment.folder, 'small-disk');

/** Moves all tables to a disk of a few megabytes that is mounted for this server alone, and fills it. */
async function fillDisk(context: FaultContext): Promise<void> {
  const { primary } = context.deployment.postgres;
  const folder = disk(context);
  mkdirSync(folder);
  await primary.stop('SIGINT');
  await primary.start({
    mount: `mount -t tmpfs -o size=${SMALL_DISK_MB}m,uid=65534,gid=65534,mode=0700 tmpfs ${folder}`,
  });
  await primary.query(`CREATE TABLESPACE small LOCATION '${folder}'`);
  for (const kind of ['TABLE', 'INDEX']) await moveAll(context, kind);
  await sleep(2_000);
  await onServer(context, `head -c 1G /dev/zero > ${folder}/filler || true`);
}

/** Retries while locks of the service block it. */
function moveAll({ deployment }: FaultContext, kind: string): Promise<unknown> {
  const move = `ALTER ${kind} ALL IN TABLESPACE pg_default SET TABLESPACE small`;
  return eventually(() => deployment.postgres.primary.query(move).catch(() => null), 30_000);
}

export const postgresFaults: Fault[] = [
  {
    name: 'postgres-restarted',
    does: 'Postgres is stopped in good order and started again three seconds later',
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
    // The last commits reach verifiers after the recovery, and a revocation view is valid for five seconds.
    revocationBoundMs: 5_500,
    inject: ({ deployment }) => deployment.postgres.primary.stop('SIGKILL'),
    heal: ({ deployment }) => deployment.postgres.primary.start(),
  },
  {
    name: 'postgres-hung',
    does: 'every process of Postgres hangs (SIGSTOP) for ten seconds',
    holdSeconds: 10,
    inject: async ({ deployment }) => deployment.postgres.primary.freeze(),
    heal: async ({ deployment }) => deployment.postgres.primary.thaw(),
    withoutPostgres: ['serve-1', 'serve-2'],
    revocationBoundMs: 5_500,
  },
  {
    name: 'backends-terminated',
    evidence: /57P01|admin_shutdown|terminated/,
    does: 'an administrator terminates every connection of the service (57P01), six times',
    holdSeconds: 1,
    inject: async (context) => {
      for (let n = 0; n < 6; n += 1) {
        await terminate(context, LOGIN);
        await sleep(500);
      }
    },
    heal: async () => {},
  },
  setting(
    {
      name: 'postgres-read-only',
      does: 'Postgres accepts no writes (default_transaction_read_only)',
      evidence: /25006|read_only/,
    },
    'default_transaction_read_only',
    'on',
  ),
  {
    name: 'disk-full',
    evidence: /53100|disk_full/,
    does: 'the disk with the tables is full (53100) for six seconds',
    whyNot: () => (process.getuid?.() === 0 ? null : 'it mounts a small disk, which only root may do'),
    inject: fillDisk,
    heal: async (context) => {
      await onServer(context, `rm ${disk(context)}/filler`);
    },
    destroys: true,
  },
  {
    name: 'out-of-connections',
    evidence: /53300|too_many_connections/,
    does: 'other clients take every connection that Postgres has',
    inject: takeAllConnections,
    heal: (context) => terminate(context, HOARDER),
    revocationBoundMs: 5_500,
  },
];
