// `npm run test:runbook`: makes each incident of the runbook, with a Postgres and a Prometheus of its own.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { prepareDatabase } from '../../src/store/postgres/prepare-database.ts';
import { createPostgres, type PostgresServer } from '../chaos/postgres-server.ts';
import { type AlertWatch, watchAlerts } from './alert-watch.ts';
import { INCIDENTS } from './incidents/all.ts';
import { PAGES, sectionsOf } from './page.ts';
import { play, typeSetUp } from './play.ts';
import { type Database, openScene, type Scene } from './scene.ts';

const SMALL_DISK_MB = 96;
const INCIDENT_TIMEOUT_MS = 240_000;

let folder: string;
let database: Database & { postgres: PostgresServer };
let scene: Scene;
let alerts: AlertWatch;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'latchkey-runbook-postgres-'));
  database = await startPostgres();
  scene = await openScene(database);
  alerts = await watchAlerts([scene.ports.apiMetrics, scene.ports.workerMetrics]);
  await typeSetUp(scene, PAGES.flatMap(sectionsOf));
}, 240_000);

afterAll(async () => {
  await alerts?.close();
  await scene?.close();
  await database?.postgres.stop('SIGQUIT');
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

/** A small disk can be filled, where this process may mount one. */
async function startPostgres(): Promise<Database & { postgres: PostgresServer }> {
  const postgres = await createPostgres(folder);
  const disk = join(folder, 'small-disk');
  mkdirSync(disk);
  const mount = `mount -t tmpfs -o size=${SMALL_DISK_MB}m,uid=65534,gid=65534,mode=0700 tmpfs ${disk}`;
  await postgres.start(process.getuid?.() === 0 ? { mount } : {});
  const ownerUrl = postgres.url('latchkey');
  const serviceUrl = Object.assign(new URL(ownerUrl), { username: 'runbook_service', password: 'service' }).href;
  await prepareDatabase(ownerUrl, serviceUrl);
  return { ownerUrl, serviceUrl, postgres };
}

describe.each(PAGES)('%s', (page) => {
  for (const section of sectionsOf(page)) {
    const incident = INCIDENTS[section.heading];
    if (!incident) continue;
    test(section.heading, { timeout: INCIDENT_TIMEOUT_MS }, async (context) => {
      const reason = (await incident.whyNot?.()) ?? null;
      if (reason !== null) return context.skip(reason);
      await play(scene, section, incident, alerts);
    });
  }
});
