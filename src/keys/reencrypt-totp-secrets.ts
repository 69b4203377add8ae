import { type Actor, actorName } from '../domain/actor.ts';
import type { Origin } from '../domain/audit-event.ts';
import { audit } from '../domain/effect.ts';
import type { KeyRing } from '../domain/key-ring.ts';
import { decryptSecret, encryptSecret } from '../domain/secret-encryption.ts';
import type { StoredTotpSecret, TotpSecrets } from '../store/totp-secrets.ts';

type Change = { actor: Actor; detail: string; origin: Origin };

const PAGE = 500;

/**
 * Encrypts under the first key of the ring what another one encrypted, a page a transaction.
 * @returns the number of changed secrets, and the ids of the factors whose secrets the ring cannot decrypt
 */
export async function reencryptTotpSecrets(
  { store, keys, now }: { store: TotpSecrets; keys: KeyRing; now: () => Date },
  { actor, detail, origin }: Change,
): Promise<{ count: number; undecryptable: string[] }> {
  const done = { count: 0, undecryptable: [] as string[] };
  let after: string | null = null;
  for (;;) {
    const page: StoredTotpSecret[] = await store.page(after, PAGE);
    const last = page.at(-1);
    if (!last) return done;
    const changed: StoredTotpSecret[] = [];
    for (const { factorId, encrypted } of page) {
      const decrypted = decryptSecret(encrypted, factorId, keys);
      if (!decrypted) done.undecryptable.push(factorId);
      else if (!decrypted.isCurrent)
        changed.push({ factorId, encrypted: encryptSecret(decrypted.bytes, factorId, keys) });
    }
    const event = { type: 'totp_secrets_reencrypted', actor: actorName(actor), detail, origin } as const;
    const effects = [audit({ ...event, after: { count: changed.length } })];
    if (changed.length > 0) await store.replace(changed, { at: now(), effects });
    done.count += changed.length;
    after = last.factorId;
  }
}
