import { createHash } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { auth } from '../../support/clients.ts';
import { newPerson, registered, signedIn } from '../../support/people.ts';
import { type Incidents, keepDoing, type Values } from '../incident.ts';
import type { Scene } from '../scene.ts';

const TICKET = 'OPS-17';
const NEW_PASSWORD = 'another long pass phrase 17';

let stopCalls = async () => {};
const passwords = new Map<string, string>();

async function person(scene: Scene): Promise<Values> {
  const { email, userId, password } = await registered(scene.call);
  passwords.set(email, password);
  return { email, user: userId, ticket: TICKET };
}

/** The alert's counter is monotonic, so that it ends when the calls end. */
function flood(scene: Scene, callers: number, email: () => string): void {
  const login = () => scene.call(auth.login, { email: email(), password: 'a guess of a stranger' });
  const all = Array.from({ length: callers }, () => keepDoing(50, login));
  stopCalls = async () => void (await Promise.all(all.map((stop) => stop())));
}

export const SIGN_IN_INCIDENTS: Incidents = {
  'One user cannot sign in': {
    async make(scene) {
      const values = await person(scene);
      await scene.shell.type(`latchkey users disable ${values.email} --reason 'wrong person'`);
      await scene.call(auth.login, {
        email: values.email as string,
        password: passwords.get(values.email as string) as string,
      });
      return values;
    },
    async afterDo(scene, { email = '' }) {
      await signedIn(scene.call, { ...newPerson(), userId: '', email, password: passwords.get(email) as string });
    },
  },

  'Hashing slow': {
    settings: { HASH_CONCURRENCY: '1', ARGON2_MEMORY_KIB: '65536', ARGON2_ITERATIONS: '6', HASH_QUEUE_WAIT_MS: '1500' },
    async make(scene) {
      flood(scene, 25, () => newPerson().email);
      return {};
    },
    beforeDo: () => stopCalls(),
    cleanUp: () => stopCalls(),
  },

  Guessing: {
    settings: { LIMIT_LOGIN_NETWORK: '12/60', LIMIT_LOGIN_PAIR: '1000/60', LIMIT_LOGIN_ACCOUNT: '1000/60' },
    async make(scene) {
      const victim = await person(scene);
      await signedIn(scene.call, {
        ...newPerson(),
        userId: '',
        email: victim.email as string,
        password: passwords.get(victim.email as string) as string,
      });
      flood(scene, 4, () => newPerson().email);
      return { victim: victim.user as string, address: '127.0.0.1', network: '127.0.0.1', ticket: TICKET };
    },
    // The network is blocked at the edge.
    beforeDo: () => stopCalls(),
    cleanUp: () => stopCalls(),
  },

  'Budget exceeded': {
    settings: { LIMIT_GLOBAL_SIGN_INS: '5/60' },
    async make(scene) {
      flood(scene, 4, () => newPerson().email);
      return {};
    },
    beforeDo: () => stopCalls(),
    cleanUp: () => stopCalls(),
  },

  'Unreadable hash': {
    async make(scene) {
      const values = await person(scene);
      await scene.owner.query('UPDATE users SET password_hash = left(password_hash, 20) WHERE id = $1', [values.user]);
      stopCalls = keepDoing(300, () =>
        scene.call(auth.login, { email: values.email as string, password: 'a pass phrase' }),
      );
      return values;
    },
    afterDo: () => stopCalls(),
    cleanUp: () => stopCalls(),
  },

  'Breach check fails': {
    async settings(scene) {
      const folder = join(scene.folder, 'ranges');
      mkdirSync(folder);
      return { PASSWORD_BREACH_RANGES: folder };
    },
    async make(scene) {
      const prefix = createHash('sha1').update(NEW_PASSWORD).digest('hex').toUpperCase().slice(0, 5);
      const file = join(scene.folder, 'ranges', `${prefix}.txt`);
      mkdirSync(file);
      stopCalls = keepDoing(300, () => scene.call(auth.register, { ...newPerson(), password: NEW_PASSWORD }));
      return { file };
    },
    async beforeDo(_, { file = '' }) {
      await stopCalls();
      rmSync(file, { recursive: true });
    },
    cleanUp: () => stopCalls(),
  },
};
