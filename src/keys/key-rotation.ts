// Changes which keys sign: what the time has come for, what an administrator asks for, and what cannot wait.

import { AuthError } from '../domain/auth-error.ts';
import { type AuditType, audit, type Effect, type Origin } from '../domain/effect.ts';
import type { KeyRing } from '../domain/key-ring.ts';
import {
  dueChanges,
  type KeyPlan,
  type KeyPolicy,
  type KeyState,
  removal,
  rotation,
  type SigningKeyRecord,
} from '../domain/key-schedule.ts';
import type { KeyChange, SigningKeyRows } from '../store/signing-key-rows.ts';
import { decryptPrivateKey, encryptPrivateKey } from './key-encryption.ts';
import { newSigningKey } from './new-signing-key.ts';

/** Who wants it, and why. */
type KeyChangeReason = { actor?: string; detail?: string; origin: Origin };

export type KeyRotation = {
  /** Does what the time has come for; at first, makes the first keys. Returns how many keys have changed. */
  advance(): Promise<number>;
  /** @throws AuthError SIGNING_KEY_NOT_READY */
  rotate(why: KeyChangeReason): Promise<void>;
  /** Whatever the key's state. @throws AuthError SIGNING_KEY_NOT_FOUND */
  remove(kid: string, why: KeyChangeReason): Promise<void>;
  /** Encrypts private keys under MASTER_KEY that are encrypted under another one. Returns which. */
  reencrypt(why: KeyChangeReason): Promise<string[]>;
};

type KeyRotationDeps = {
  store: Pick<SigningKeyRows, 'list' | 'change' | 'reencrypt'>;
  encryptionKeys: KeyRing;
  policy: KeyPolicy;
  now: () => Date;
};

const AUDITED_AS: Record<KeyState, AuditType> = {
  published: 'signing_key_published',
  active: 'signing_key_activated',
  retiring: 'signing_key_retiring',
  retired: 'signing_key_retired',
};
/** Of what nobody has asked for. */
const BY_ITSELF: KeyChangeReason = { origin: { address: '', userAgent: '', requestId: '' } };

export function createKeyRotation({ store, encryptionKeys, policy, now }: KeyRotationDeps): KeyRotation {
  /** Returns how many keys have changed. */
  async function change(
    decide: (keys: SigningKeyRecord[], at: Date) => KeyPlan,
    why: KeyChangeReason,
  ): Promise<number> {
    const at = now();
    let changed = 0;
    await store.change(at, async (keys) => {
      const { retire, activate, add } = decide(keys, at);
      const made = await Promise.all(add.map((state) => newSigningKey(state, policy.algorithm, encryptionKeys)));
      const effects = eventsOf(keys, { retire, activate, add: made }, why);
      changed = effects.length;
      return { retire, activate, add: made, effects };
    });
    return changed;
  }

  return {
    async advance() {
      // Most of the time nothing is due, and nobody need wait for anybody.
      if (isNothing(dueChanges(await store.list(), policy, now()))) return 0;
      return change((keys, at) => dueChanges(keys, policy, at), BY_ITSELF);
    },

    async rotate(why) {
      await change((keys, at) => {
        const plan = rotation(keys, policy, at);
        if ('from' in plan) {
          throw new AuthError('SIGNING_KEY_NOT_READY', { retryAfterMs: plan.from.getTime() - at.getTime() });
        }
        return plan;
      }, why);
    },

    async remove(kid, why) {
      await change((keys) => {
        const plan = removal(keys, kid);
        if (!plan) throw new AuthError('SIGNING_KEY_NOT_FOUND');
        return plan;
      }, why);
    },

    reencrypt(why) {
      return store.reencrypt(
        now(),
        ({ kid, encryptedPrivateKey }) => {
          const { pkcs8, isCurrent } = decryptPrivateKey(encryptedPrivateKey, kid, encryptionKeys);
          return isCurrent ? null : encryptPrivateKey(pkcs8, kid, encryptionKeys);
        },
        (kids) => kids.map((kid) => audit({ type: 'signing_key_reencrypted', target: targetOf(kid), ...why })),
      );
    },
  };
}

function isNothing({ retire, activate, add }: KeyPlan): boolean {
  return retire.length === 0 && activate === null && add.length === 0;
}

/** One for each key whose state changes. */
function eventsOf(keys: SigningKeyRecord[], change: Omit<KeyChange, 'effects'>, why: KeyChangeReason): Effect[] {
  const { retire, activate, add } = change;
  const stateOf = (kid: string) => keys.find((key) => key.kid === kid)?.state ?? null;
  const active = keys.find(({ state }) => state === 'active');
  const states: [string, KeyState][] = [
    ...retire.map((kid): [string, KeyState] => [kid, 'retired']),
    ...(activate !== null && active && !retire.includes(active.kid)
      ? [[active.kid, 'retiring'] as [string, KeyState]]
      : []),
    ...(activate === null ? [] : [[activate, 'active'] as [string, KeyState]]),
    ...add.map(({ kid, state }): [string, KeyState] => [kid, state]),
  ];
  return states.map(([kid, state]) => {
    const before = stateOf(kid);
    return audit({
      type: AUDITED_AS[state],
      target: targetOf(kid),
      before: before && { state: before },
      after: { state },
      ...why,
    });
  });
}

function targetOf(kid: string): string {
  return `signing_key:${kid}`;
}
