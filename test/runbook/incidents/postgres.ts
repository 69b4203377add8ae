import { join } from 'node:path';
import pg from 'pg';
import { expect } from 'vitest';
import { auth } from '../../support/clients.ts';
import { createTestDatabase } from '../../support/databases.ts';
import { eventually } from '../../support/eventually.ts';
import { newPerson } from '../../support/people.ts';
import { releaseDumps, restoreDump } from '../../upgrades/release-dump.ts';
import { type Incident, type Incidents, keepDoing } from '../incident.ts';
import type { Scene } from '../scene.ts';

const SETTING = 'default_transaction_read_only';
const NEWER = '9999_newer';

async function databaseName({ owner }: Scene): Promise<string> {
  const { rows } = await owner.query('SELECT current_database() AS name');
  return rows[0].name;
}

/** As a failover does it whose name still leads to the old primary. */
async function makeReadOnly(scene: Scene): Promise<void> {
  await scene.owner.query(`ALTER DATABASE ${await databaseName(scene)} SET ${SETTING} = on`);
  scene.cables.postgres.cutAll();
  scene.cables.listener.cutAll();
}

async function makeWritable(scene: Scene): Promise<void> {
  const client = await scene.owner.connect();
  try {
    await client.query(`SET ${SETTING} = off`);
    await client.query(`ALTER DATABASE ${await databaseName(scene)} RESET ${SETTING}`);
  } finally {
    client.release(true);
  }
  scene.cables.postgres.cutAll();
}

const signIn = (scene: Scene) => scene.call(auth.login, { email: 'a@people.example', password: 'a pass phrase' });

async function usersCanRegister(scene: Scene): Promise<void> {
  await eventually(async () => (await scene.call(auth.register, newPerson())).code === 'ok', 20_000);
}

let stopCalls = async () => {};

const readOnly: Incident = {
  async make(scene) {
    await makeReadOnly(scene);
    stopCalls = keepDoing(100, () => signIn(scene));
    await eventually(async () => (await signIn(scene)).reason === 'DEPENDENCY_UNAVAILABLE', 20_000);
    return {};
  },
  async beforeDo(scene) {
    await stopCalls();
    await makeWritable(scene);
  },
  proof: usersCanRegister,
  async cleanUp(scene) {
    await stopCalls();
    await makeWritable(scene);
  },
};

/** The privileges that the former release had given. */
async function grantReading(ownerUrl: string, login: string): Promise<void> {
  const client = new pg.Client({ connectionString: ownerUrl });
  await client.connect();
  await client.query(`GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${login}`).finally(() => client.end());
}

let blocker: { end(): Promise<void> };

export const POSTGRES_INCIDENTS: Incidents = {
  'Postgres rejects writes': readOnly,
  'Server errors': readOnly,

  'The disk of Postgres is full': {
    whyNot: () => (process.getuid?.() === 0 ? null : 'it mounts a small disk, which only root may do'),
    async make(scene) {
      const { postgres } = scene;
      if (!postgres) throw new Error('this incident needs a Postgres of its own');
      const folder = join(postgres.folder, 'small-disk');
      await postgres.query(`CREATE TABLESPACE small LOCATION '${folder}'`);
      for (const kind of ['TABLE', 'INDEX']) {
        const move = `ALTER ${kind} ALL IN TABLESPACE pg_default SET TABLESPACE small`;
        await eventually(() => postgres.query(move).catch(() => null), 30_000);
      }
      const fill = `head -c 1G /dev/zero > ${folder}/filler || true`;
      await postgres.query(`COPY (SELECT 1) TO PROGRAM '${fill}'`);
      stopCalls = keepDoing(50, () => scene.call(auth.register, newPerson()));
      await eventually(async () => (await scene.call(auth.register, newPerson())).code === 'unavailable', 40_000);
      return {};
    },
    async beforeDo({ postgres }) {
      await stopCalls();
      await postgres?.query(`COPY (SELECT 1) TO PROGRAM 'rm ${join(postgres.folder, 'small-disk')}/filler'`);
    },
    proof: usersCanRegister,
    cleanUp: () => stopCalls(),
  },

  'Pool exhausted': {
    settings: { DATABASE_POOL_SIZE: '2' },
    async make(scene) {
      const client = await scene.owner.connect();
      client.on('error', () => {});
      blocker = { end: async () => client.release(true) };
      await client.query('BEGIN');
      const { rows: own } = await client.query('SELECT pg_backend_pid() AS pid');
      await client.query('LOCK TABLE sessions, users');
      const callers = Array.from({ length: 8 }, () => keepDoing(20, () => signIn(scene)));
      stopCalls = async () => void (await Promise.all(callers.map((stop) => stop())));
      return { pid: String(own[0].pid) };
    },
    afterDo: () => stopCalls(),
    proof: usersCanRegister,
    async cleanUp() {
      await stopCalls();
      await blocker.end().catch(() => {});
    },
  },

  'A migration is missing': {
    async settings() {
      const [dump] = releaseDumps();
      if (!dump) throw new Error('there is no dump of an earlier release');
      const { ownerUrl, serviceUrl } = await createTestDatabase('template0');
      await restoreDump(dump.release, ownerUrl);
      await grantReading(ownerUrl, new URL(serviceUrl).username);
      return {
        DATABASE_URL: serviceUrl,
        DATABASE_LISTEN_URL: serviceUrl,
        MIGRATION_DATABASE_URL: ownerUrl,
        MASTER_KEY: dump.masterKey,
      };
    },
    async make(scene) {
      expect((await scene.call(auth.register, newPerson())).code).not.toBe('ok');
      return {};
    },
    proof: usersCanRegister,
  },

  'A migration is newer': {
    async make(scene) {
      await scene.owner.query(`INSERT INTO schema_migrations VALUES ('${NEWER}', repeat('0', 64))`);
      return {};
    },
    proof: usersCanRegister,
    cleanUp: async (scene) => void (await scene.owner.query('DELETE FROM schema_migrations WHERE name = $1', [NEWER])),
  },
};
