// Changes signing keys: on schedule, by an administrator, and at once when a key may have been stolen.
import { type Actor, actorName } from '../domain/actor.ts';
import type { Origin } from '../domain/audit-event.ts';
import type { AuditType } from '../domain/audit-event-types.ts';
import { AuthError } from '../domain/auth-error.ts';
import { audit, type Effect } from '../domain/effect.ts';
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
import { decryptSecret, encryptSecret } from '../domain/secret-encryption.ts';
import type { KeyChange, SigningKeyRows } from '../store/signing-key-rows.ts';
import { assertRightMasterKey } from './assert-right-master-key.ts';
import { newSigningKey } from './new-signing-key.ts';
import { otherMasterKeyError } from './other-master-key-error.ts';

type KeyChangeReason = { actor: Actor | null; detail?: string; origin: Origin };

export type KeyRotation = {
  /** Also creates the first keys. Returns how many keys have changed. */
  advance(policy: KeyPolicy): Promise<number>;
  /** @throws AuthError SIGNING_KEY_NOT_READY */
  rotate(why: KeyChangeReason): Promise<void>;
  /** Retires a key in any state at once. @throws AuthError SIGNING_KEY_NOT_FOUND */
  remove(kid: string, why: KeyChangeReason): Promise<void>;
  /** Returns the `kid`s of the keys that were encrypted under another MASTER_KEY. */
  reencrypt(why: KeyChangeReason): Promise<string[]>;
};

type KeyRotationDeps = {
  store: Pick<SigningKeyRows, 'list' | 'change' | 'reencrypt'>;
  encryptionKeys: KeyRing;
  now: () => Date;
};

const AUDITED_AS: Record<KeyState, AuditType> = {
  published: 'signing_key_published',
  active: 'signing_key_activated',
  retiring: 'signing_key_retiring',
  retired: 'signing_key_retired',
};
const SCHEDULED: KeyChangeReason = { actor: null, origin: { address: '', userAgent: '', requestId: '' } };

export function createKeyRotation({ store, encryptionKeys, now }: KeyRotationDeps): KeyRotation {
  async function change(
    decide: (keys: SigningKeyRecord[], at: Date) => KeyPlan,
    why: KeyChangeReason,
  ): Promise<number> {
    let changed = 0;
    await store.change({
      actor: why.actor,
      now,
      decide: async (keys, usable, at) => {
        assertRightMasterKey(usable, encryptionKeys);
        const { moves, add } = decide(keys, at);
        const made = await Promise.all(add.map((wanted) => newSigningKey(wanted, encryptionKeys)));
        const effects = eventsOf(keys, { moves, add: made }, why);
        changed = effects.length;
        return { moves, add: made, effects };
      },
    });
    return changed;
  }

  return {
    async advance(policy) {
      // Usually nothing is due. Then no lock is needed.
      const { moves, add } = dueChanges(await store.list(), policy, now());
      if (moves.length === 0 && add.length === 0) return 0;
      return change((keys, at) => dueChanges(keys, policy, at), SCHEDULED);
    },

    async rotate(why) {
      await change((keys, at) => {
        const plan = rotation(keys, at);
        if (!('from' in plan)) return plan;
        const details = plan.from ? { retryAfterMs: plan.from.getTime() - at.getTime() } : {};
        throw new AuthError('SIGNING_KEY_NOT_READY', details);
      }, why);
    },

    async remove(kid, why) {
      await change((keys, at) => {
        const plan = removal(keys, kid, at);
        if (!plan) throw new AuthError('SIGNING_KEY_NOT_FOUND');
        return plan;
      }, why);
    },

    reencrypt(why) {
      return store.reencrypt({
        now,
        encrypt({ kid, encryptedPrivateKey }) {
          const decrypted = decryptSecret(encryptedPrivateKey, kid, encryptionKeys);
          if (!decrypted) throw otherMasterKeyError([kid]);
          return decrypted.isCurrent ? null : encryptSecret(decrypted.bytes, kid, encryptionKeys);
        },
        effects: (kids) =>
          kids.map((kid) => audit({ type: 'signing_key_reencrypted', target: targetOf(kid), ...auditedReason(why) })),
      });
    },
  };
}

function eventsOf(
  keys: SigningKeyRecord[],
  { moves, add }: Pick<KeyChange, 'moves' | 'add'>,
  why: KeyChangeReason,
): Effect[] {
  const event = (kid: string, before: KeyState | null, after: KeyState) =>
    audit({
      type: AUDITED_AS[after],
      target: targetOf(kid),
      before: before && { state: before },
      after: { state: after },
      ...auditedReason(why),
    });
  const stateOf = (kid: string) => keys.find((key) => key.kid === kid)?.state ?? null;
  return [
    ...moves.map(({ kid, to }) => event(kid, stateOf(kid), to)),
    ...add.map(({ kid, state }) => event(kid, null, state)),
  ];
}

function auditedReason({ actor, ...why }: KeyChangeReason) {
  return { ...why, ...(actor && { actor: actorName(actor) }) };
}

function targetOf(kid: string): string {
  return `signing_key:${kid}`;
}
