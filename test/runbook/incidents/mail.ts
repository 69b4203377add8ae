import { auth } from '../../support/clients.ts';
import { eventually } from '../../support/eventually.ts';
import { newPerson, registered } from '../../support/people.ts';
import { type Incident, type Incidents, keepDoing } from '../incident.ts';
import type { Scene } from '../scene.ts';

let stopCalls = async () => {};

const requestReset = (scene: Scene, email: string) => scene.call(auth.requestReset, { email });

const withoutRedis: Incident = {
  async make(scene) {
    cutRedis(scene);
    stopCalls = keepDoing(200, () => scene.call(auth.login, { email: newPerson().email, password: 'a pass phrase' }));
    return {};
  },
  async beforeDo(scene) {
    openRedis(scene);
    await stopCalls();
  },
  async cleanUp(scene) {
    openRedis(scene);
    await stopCalls();
  },
};

export const MAIL_INCIDENTS: Incidents = {
  'Was her mail sent?': {
    settings: { LIMIT_REQUEST_RESET_ACCOUNT: '3/3600' },
    async make(scene) {
      const { email, userId } = await registered(scene.call);
      await requestReset(scene, email);
      const { messageId } = await eventually(() => scene.smtp.delivered.find(({ to }) => to === email));
      // She may also have typed an address that has no account.
      const other = newPerson().email;
      for (let n = 0; n < 4; n += 1) await requestReset(scene, other);
      return { email, user: userId, 'message-id': messageId, 'other email': other };
    },
  },

  'Mail fails': {
    settings: { MAIL_RETRY_FOR_SECONDS: '3600' },
    async make(scene) {
      scene.smtp.change({ answers: { MAIL: '451 4.3.0 queue file write error' } });
      stopCalls = keepDoing(200, async () => requestReset(scene, (await registered(scene.call)).email));
      return {};
    },
    async beforeDo(scene) {
      await stopCalls();
      scene.smtp.change({});
    },
    async cleanUp(scene) {
      await stopCalls();
      scene.smtp.change({});
    },
  },

  'Dead letters': {
    async make(scene) {
      scene.smtp.change({ answers: { RCPT: '550 5.1.1 no such user' } });
      const { email } = await registered(scene.call);
      await requestReset(scene, email);
      return { email };
    },
    beforeDo: async (scene) => scene.smtp.change({}),
    async proof(scene, { email }) {
      await eventually(() => scene.smtp.delivered.some(({ to }) => to === email));
    },
    cleanUp: async (scene) => scene.smtp.change({}),
  },

  'Outbox late': {
    async make(scene) {
      cutRedis(scene);
      await registered(scene.call);
      // Six minutes pass.
      await scene.owner.query("UPDATE outbox SET created_at = created_at - interval '6 minutes'");
      return {};
    },
    beforeDo: async (scene) => openRedis(scene),
    cleanUp: async (scene) => openRedis(scene),
  },

  'No worker': {
    async make(scene) {
      await scene.stop('worker', 'SIGKILL');
      await scene.call(auth.register, newPerson());
      return {};
    },
    beforeDo: (scene) => scene.start('worker'),
  },

  'Housekeeping fails': {
    async make(scene) {
      await scene.owner.query('REVOKE DELETE ON user_roles FROM latchkey_service');
      return {};
    },
  },

  'Limits without Redis': withoutRedis,
  'Redis down': withoutRedis,
};

function cutRedis({ cables: { redis } }: Scene): void {
  redis.mode = 'cut';
  redis.cutAll();
}

function openRedis({ cables: { redis } }: Scene): void {
  redis.mode = 'open';
}
