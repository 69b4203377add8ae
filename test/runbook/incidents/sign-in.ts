import { createHash } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { SERVICE_KEY } from '../../support/app.ts';
import { auth } from '../../support/clients.ts';
import { newPerson, registered } from '../../support/people.ts';
import { type Incidents, keepDoing, type Values } from '../incident.ts';
import type { Scene } from '../scene.ts';

const TICKET = 'OPS-17';
const OFFICE = '203.0.113.7';
const ATTACKER = '198.51.100.9';
const NEW_PASSWORD = 'another long pass phrase 17';

let stopCalls = async () => {};
const passwords = new Map<string, string>();

async function person(scene: Scene): Promise<Values> {
  const { email, userId, password } = await registered(scene.call);
  passwords.set(email, password);
  return { email, user: userId, ticket: TICKET };
}

type Credentials = { email: string; password: string };

const ownLogin = ({ email = '' }: Values): Credentials => ({ email, password: passwords.get(email) as string });
const guess = (email: string): Credentials => ({ email, password: 'a guess of a stranger' });

/** A sign-in through a back end, which names the address of its client. */
const loginFrom = (address: string, scene: Scene, credentials: Credentials) =>
  scene.call(auth.login, credentials, { headers: { 'x-service-key': SERVICE_KEY, 'x-client-address': address } });

/** The alert's counter is monotonic, so that it ends when the calls end. */
function keepLoggingIn(callers: number, login: () => Promise<unknown>): void {
  const all = Array.from({ length: callers }, () => keepDoing(50, login));
  stopCalls = async () => void (await Promise.all(all.map((stop) => stop())));
}

const flood = (scene: Scene, callers: number) =>
  keepLoggingIn(callers, () => scene.call(auth.login, guess(newPerson().email)));

export const SIGN_IN_INCIDENTS: Incidents = {
  'One user cannot sign in': {
    settings: { LIMIT_LOGIN_PAIR: '5/900', LIMIT_LOGIN_NETWORK: '20/900' },
    async make(scene) {
      const values = await person(scene);
      for (let n = 0; n < 6; n += 1)
        await loginFrom(OFFICE, scene, { email: values.email as string, password: 'a typing error' });
      expect((await loginFrom(OFFICE, scene, ownLogin(values))).reason).toBe('RATE_LIMITED');
      // Her colleagues use up the attempts of the office's network.
      for (let n = 0; n < 20; n += 1) await loginFrom(OFFICE, scene, { email: newPerson().email, password: 'a guess' });
      return { ...values, address: OFFICE };
    },
    before: {
      // The network still rejects her after the unlock.
      'latchkey limits reset': async (scene, values) => {
        expect((await loginFrom(OFFICE, scene, ownLogin(values))).reason).toBe('RATE_LIMITED');
        await scene.shell.type(`latchkey limits reset --account ${values.email} --reason 'the attempt of the test'`);
      },
    },
    async afterDo(scene, values) {
      expect((await loginFrom(OFFICE, scene, ownLogin(values))).code).toBe('ok');
    },
  },

  'An account is disabled': {
    async make(scene) {
      const values = await person(scene);
      await scene.shell.type(`latchkey users disable ${values.email} --reason 'wrong person'`);
      expect((await loginFrom(OFFICE, scene, ownLogin(values))).code).not.toBe('ok');
      return values;
    },
    async afterDo(scene, values) {
      expect((await loginFrom(OFFICE, scene, ownLogin(values))).code).toBe('ok');
    },
  },

  'Hashing slow': {
    settings: { HASH_CONCURRENCY: '1', ARGON2_MEMORY_KIB: '65536', ARGON2_ITERATIONS: '6', HASH_QUEUE_WAIT_MS: '1500' },
    async make(scene) {
      flood(scene, 25);
      return {};
    },
    beforeDo: () => stopCalls(),
    cleanUp: () => stopCalls(),
  },

  Guessing: {
    settings: { LIMIT_LOGIN_NETWORK: '12/60', LIMIT_LOGIN_PAIR: '1000/60', LIMIT_LOGIN_ACCOUNT: '1000/60' },
    async make(scene) {
      const victim = await person(scene);
      expect((await loginFrom(ATTACKER, scene, ownLogin(victim))).code).toBe('ok');
      keepLoggingIn(4, () => loginFrom(ATTACKER, scene, guess(newPerson().email)));
      return { victim: victim.user as string, address: ATTACKER, network: ATTACKER, ticket: TICKET };
    },
    // The network is blocked at the edge.
    beforeDo: () => stopCalls(),
    cleanUp: () => stopCalls(),
  },

  'Budget exceeded': {
    settings: { LIMIT_GLOBAL_SIGN_INS: '5/60' },
    async make(scene) {
      flood(scene, 4);
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
