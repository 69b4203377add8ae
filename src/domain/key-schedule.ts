// How the keys that sign access tokens come and go, so that no verifier meets a token whose key it cannot know yet, and none
// forgets a key whose tokens are still good. Knows no storage: it says what is to be done.

export const SIGNING_ALGORITHMS = ['EdDSA', 'ES256'] as const;
export type SigningAlgorithm = (typeof SIGNING_ALGORITHMS)[number];

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
  /** From when everybody can know it: nobody keeps a JWKS from before it was published for longer. */
  signsFrom: Date;
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

export type KeyMove = { kid: string; to: 'active' | 'retiring' | 'retired' };
export type KeyToAdd = Pick<SigningKeyRecord, 'algorithm' | 'signsFrom'> & { state: 'active' | 'published' };

/** First the moves in their order, then new keys. */
export type KeyPlan = { moves: KeyMove[]; add: KeyToAdd[] };

/** What the time has come for. With no keys at all: the first two, which nobody can know one without the other. */
export function dueChanges(keys: SigningKeyRecord[], policy: KeyPolicy, now: Date): KeyPlan {
  const { algorithm, rotateEveryMs, publishMs, keepMs } = policy;
  const published = (): KeyToAdd => ({ algorithm, signsFrom: later(now, publishMs), state: 'published' });
  const retired = (key: SigningKeyRecord): KeyMove => ({ kid: key.kid, to: 'retired' });
  const active = inState(keys, 'active');
  const standby = inState(keys, 'published');
  const over = keys.filter((key) => key.state === 'retiring' && now >= later(key.retiringAt, keepMs)).map(retired);
  if (!active) {
    if (standby) return { moves: [...over, { kid: standby.kid, to: 'active' }], add: [published()] };
    const first = { algorithm, signsFrom: now };
    const next = keys.length === 0 ? { ...published(), signsFrom: now } : published();
    return { moves: over, add: [{ ...first, state: 'active' }, next] };
  }
  if (!standby) return { moves: over, add: [published()] };
  if (now < standby.signsFrom) return { moves: over, add: [] };
  // Not before: workers of two configurations would never let one come of age.
  if (standby.algorithm !== algorithm) return { moves: [...over, retired(standby)], add: [published()] };
  const isDue =
    active.algorithm !== algorithm || (rotateEveryMs > 0 && now >= later(active.activatedAt, rotateEveryMs));
  return isDue ? { moves: [...over, ...handOver(active, standby)], add: [published()] } : { moves: over, add: [] };
}

/** The published key signs from now on; or from when it may, null when there is none yet. Workers publish the next. */
export function rotation(keys: SigningKeyRecord[], now: Date): KeyPlan | { from: Date | null } {
  const [active, standby] = [inState(keys, 'active'), inState(keys, 'published')];
  if (!standby || now < standby.signsFrom) return { from: standby?.signsFrom ?? null };
  return { moves: active ? handOver(active, standby) : [{ kid: standby.kid, to: 'active' }], add: [] };
}

/** A key that somebody else may have is good for nothing from now on, whoever is inconvenienced. Null: there is no such key. */
export function removal(keys: SigningKeyRecord[], kid: string, now: Date): KeyPlan | null {
  const key = keys.find((one) => one.kid === kid && one.state !== 'retired');
  if (!key) return null;
  const gone: KeyMove = { kid, to: 'retired' };
  if (key.state !== 'active') return { moves: [gone], add: [] };
  const standby = inState(keys, 'published');
  if (standby) return { moves: [gone, { kid: standby.kid, to: 'active' }], add: [] };
  return { moves: [gone], add: [{ algorithm: key.algorithm, signsFrom: now, state: 'active' }] };
}

function handOver(active: SigningKeyRecord, standby: SigningKeyRecord): KeyMove[] {
  return [
    { kid: active.kid, to: 'retiring' },
    { kid: standby.kid, to: 'active' },
  ];
}

function inState(keys: SigningKeyRecord[], state: KeyState): SigningKeyRecord | undefined {
  return keys.find((key) => key.state === state);
}

function later(time: Date | null, ms: number): Date {
  return new Date(Number(time) + ms);
}
