// How the keys that sign access tokens come and go, so that no verifier meets a token whose key it cannot know yet, and none
// forgets a key whose tokens are still good. Knows no storage: it says what is to be done.

export type SigningAlgorithm = 'EdDSA' | 'ES256';

/**
 * `published`: verifiers hear of it, and it signs nothing. `active`: signs. `retiring`: signs no more, and what it has signed
 * is good. `retired`: good for nothing.
 */
export type KeyState = 'published' | 'active' | 'retiring' | 'retired';

export type SigningKeyRecord = {
  kid: string;
  algorithm: SigningAlgorithm;
  state: KeyState;
  publishedAt: Date;
  activatedAt: Date | null;
  retiringAt: Date | null;
  retiredAt: Date | null;
};

export type KeyPolicy = {
  /** Of the keys to come. */
  algorithm: SigningAlgorithm;
  /** How long a key signs; 0 for as long as nobody rotates. */
  rotateEveryMs: number;
  /** How long a key is published before it signs: longer than anybody keeps a JWKS. */
  publishMs: number;
  /** How long after its last signature a token can be good. */
  keepMs: number;
};

/** To be done in this order. */
export type KeyPlan = {
  retire: string[];
  /** Signs from now on; the one before begins to retire. */
  activate: string | null;
  /** The states of new keys. */
  add: ('active' | 'published')[];
};

/** What the time has come for. With no keys at all: the first ones. */
export function dueChanges(keys: SigningKeyRecord[], policy: KeyPolicy, now: Date): KeyPlan {
  const published = inState(keys, 'published');
  const isUnwanted = published !== undefined && published.algorithm !== policy.algorithm;
  const over = keys.filter(
    ({ retiringAt, state }) => state === 'retiring' && msSince(retiringAt, now) >= policy.keepMs,
  );
  const retire = [...over, ...(isUnwanted ? [published] : [])].map(({ kid }) => kid);
  const standby = isUnwanted ? undefined : published;
  const active = inState(keys, 'active');
  if (!active)
    return { retire, activate: standby?.kid ?? null, add: standby ? ['published'] : ['active', 'published'] };
  const isDue =
    active.algorithm !== policy.algorithm ||
    (policy.rotateEveryMs > 0 && msSince(active.activatedAt, now) >= policy.rotateEveryMs);
  const next = isDue && standby && now >= knownFrom(standby, keys, policy) ? standby.kid : null;
  return { retire, activate: next, add: next || !standby ? ['published'] : [] };
}

/** Another key signs from now on, the published one; or from when it can, if not everybody can know it yet. */
export function rotation(keys: SigningKeyRecord[], policy: KeyPolicy, now: Date): KeyPlan | { from: Date } {
  const standby = inState(keys, 'published');
  if (standby?.algorithm !== policy.algorithm) return { from: new Date(now.getTime() + policy.publishMs) };
  const from = knownFrom(standby, keys, policy);
  return now < from ? { from } : { retire: [], activate: standby.kid, add: ['published'] };
}

/** A key that somebody else may have is good for nothing from now on, whoever is inconvenienced. Null: there is no such key. */
export function removal(keys: SigningKeyRecord[], kid: string): KeyPlan | null {
  const key = keys.find((one) => one.kid === kid && one.state !== 'retired');
  if (!key) return null;
  const standby = keys.find((one) => one.state === 'published' && one.kid !== kid);
  if (key.state !== 'active') return { retire: [kid], activate: null, add: standby ? [] : ['published'] };
  return { retire: [kid], activate: standby?.kid ?? null, add: standby ? ['published'] : ['active', 'published'] };
}

/** From when everybody can know it: whoever keeps a JWKS without it has to ask anew. The first keys were never not there. */
function knownFrom(key: SigningKeyRecord, keys: SigningKeyRecord[], { publishMs }: KeyPolicy): Date {
  const isOfTheFirst = keys.every(({ publishedAt }) => publishedAt >= key.publishedAt);
  return new Date(key.publishedAt.getTime() + (isOfTheFirst ? 0 : publishMs));
}

function inState(keys: SigningKeyRecord[], state: KeyState): SigningKeyRecord | undefined {
  return keys.find((key) => key.state === state);
}

function msSince(time: Date | null, now: Date): number {
  return time ? now.getTime() - time.getTime() : 0;
}
