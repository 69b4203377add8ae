import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { auth } from '../../support/clients.ts';
import { eventually } from '../../support/eventually.ts';
import { signedIn } from '../../support/people.ts';
import { type Incident, type Incidents, keepDoing } from '../incident.ts';
import type { Scene } from '../scene.ts';

async function pauseServe(scene: Scene, milliseconds: number): Promise<void> {
  scene.signal('serve', 'SIGSTOP');
  await sleep(milliseconds);
  scene.signal('serve', 'SIGCONT');
}

let stopHogging: () => Promise<void>;

const killed: Incident = {
  async make(scene) {
    await scene.stop('serve', 'SIGKILL');
    return {};
  },
  beforeDo: (scene) => scene.start('serve'),
};

/** Restarts `serve` with two workers. Returns their process ids. */
async function startWorkers(scene: Scene): Promise<number[]> {
  await scene.stop('serve');
  return workersOf(await scene.start('serve', {}, ['--workers', '2']), []);
}

/** @param former process ids that have ended */
function workersOf(supervisor: number, former: number[]): Promise<number[]> {
  return eventually(() => {
    const pids = readFileSync(`/proc/${supervisor}/task/${supervisor}/children`, 'utf8').split(' ').filter(Boolean);
    const isWorker = (pid: string) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('main.ts');
    const workers = pids
      .filter(isWorker)
      .map(Number)
      .filter((pid) => !former.includes(pid));
    return workers.length === 2 ? workers : null;
  });
}

async function withoutWorkers(scene: Scene): Promise<void> {
  await scene.stop('serve', 'SIGKILL');
  await scene.start('serve');
}

const policyOf = (scene: Scene) => join(scene.folder, 'policy.yaml');
const POLICY = 'routes:\n  - path: /orders\n    role: user\n';

// Production logs the problems as one line.
const MISSPELT = { LIMIT_LOGIN_NETWRK: '5/60', ACCESS_TOKEN_TTL_SECONDS: 'soon', NODE_ENV: 'production' };

export const PROCESS_INCIDENTS: Incidents = {
  Down: killed,
  Absent: killed,

  'Worker silent': {
    async make(scene) {
      const [pid = 0] = await startWorkers(scene);
      process.kill(pid, 'SIGSTOP');
      return { pid: String(pid) };
    },
    cleanUp: withoutWorkers,
  },

  'Workers end': {
    async make(scene) {
      const [pid = 0, other = 0] = await startWorkers(scene);
      const supervisor = Number(/^PPid:\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
      for (const first of [pid, other]) process.kill(first, 'SIGKILL');
      for (const next of await workersOf(supervisor, [pid, other])) process.kill(next, 'SIGKILL');
      return {};
    },
    cleanUp: withoutWorkers,
  },

  'Verify slow': {
    async make(scene) {
      const { accessToken } = await signedIn(scene.call);
      const pauses = keepDoing(100, () => pauseServe(scene, 300));
      const calls = keepDoing(20, () => scene.call(auth.verify, { accessToken }));
      stopHogging = async () => void (await Promise.all([pauses(), calls()]));
      return {};
    },
    beforeDo: () => stopHogging(),
    cleanUp: () => stopHogging(),
  },

  'The service does not start': {
    settings: MISSPELT,
    startsWithSettings: false,
    async make(scene) {
      expect((await scene.failedStart('serve', {})).exit).toBe(1);
      return { 'wrong key': 'LIMIT_LOGIN_NETWRK', key: 'LIMIT_LOGIN_NETWORK' };
    },
    beforeDo: (scene) => scene.deploy(Object.fromEntries(Object.keys(MISSPELT).map((key) => [key, undefined]))),
  },

  'Policy outdated': {
    async settings(scene) {
      writeFileSync(policyOf(scene), POLICY);
      return { POLICY_FILE: policyOf(scene) };
    },
    async make(scene) {
      writeFileSync(policyOf(scene), 'routes: [{ pth: /orders }]');
      return {};
    },
    beforeDo: async (scene) => writeFileSync(policyOf(scene), POLICY),
  },

  'Event loop late': {
    async make(scene) {
      // Another program takes the CPU away.
      stopHogging = keepDoing(50, () => pauseServe(scene, 300));
      return {};
    },
    beforeDo: () => stopHogging(),
    cleanUp: () => stopHogging(),
  },
};
