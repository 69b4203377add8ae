import { setTimeout as sleep } from 'node:timers/promises';
import { type Incidents, keepDoing } from '../incident.ts';

let stopHogging: () => Promise<void>;

export const PROCESS_INCIDENTS: Incidents = {
  Down: {
    async make(scene) {
      await scene.stop('serve', 'SIGKILL');
      return {};
    },
    beforeDo: (scene) => scene.start('serve'),
  },

  'Event loop late': {
    async make(scene) {
      // Another program takes the CPU away.
      stopHogging = keepDoing(50, async () => {
        scene.signal('serve', 'SIGSTOP');
        await sleep(300);
        scene.signal('serve', 'SIGCONT');
      });
      return {};
    },
    beforeDo: () => stopHogging(),
    cleanUp: () => stopHogging(),
  },
};
