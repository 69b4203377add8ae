// Every verifier can load a key before it signs, and keeps it until its last token has expired. src/keys applies the
// changes.
import type { SigningAlgorithm } from './signing-algorithm.ts';

/** `published`: in the JWKS, signs nothing yet. `retiring`: its tokens are valid. `retired`: its tokens are invalid. */
export type KeyState = 'published' | 'active' | 'retiring' | 'retired';

export type SigningKeyRecord = {
  kid: string;
  algorithm: SigningAlgorithm;
  state: KeyState;
  publishedAt: Date;
  /** Every JWKS from before the publication has expired by then. */
  signsFrom: Date;
  activatedAt: Date | null;
  retiringAt: Date | null;
  retiredAt: Date | null;
};

export type KeyPolicy = {
  algorithm: SigningAlgorithm;
  /** How long a key signs; 0 until an administrator rotates the keys. */
  rotateEveryMs: number;
  /** How long a key is published before it signs: longer than a JWKS is cached. */
  publishMs: number;
  /** How long a token can be valid after its key stops signing. */
  keepMs: number;
};

export type KeyMove = { kid: string; to: 'active' | 'retiring' | 'retired' };
export type KeyToAdd = Pick<SigningKeyRecord, 'algorithm' | 'signsFrom'> & { state: 'active' | 'published' };

/** The moves are applied in their order, before the new keys are added. */
export type KeyPlan = { moves: KeyMove[]; add: KeyToAdd[] };

/** Without any keys, the first two are published together. */
export function dueChanges(keys: SigningKeyRecord[], policy: KeyPolicy, now: Date): KeyPlan {
  const { algorithm, rotateEveryMs, publishMs, keepMs } = policy;
  const published = (): KeyToAdd => ({ algorithm, signsFrom: later(now, publishMs), state: 'published' });
  const retired = (key: SigningKeyRecord): KeyMove => ({ kid: key.kid, to: 'retired' });
  const active = inState(keys, 'active');
  const standby = inState(keys, 'published');
  const expired = keys.filter((key) => key.state === 'retiring' && now >= later(key.retiringAt, keepMs)).map(retired);
  if (!active) {
    if (standby) return { moves: [...expired, { kid: standby.kid, to: 'active' }], add: [published()] };
    const first = { algorithm, signsFrom: now };
    const next = keys.length === 0 ? { ...published(), signsFrom: now } : published();
    return { moves: expired, add: [{ ...first, state: 'active' }, next] };
  }
  if (!standby) return { moves: expired, add: [published()] };
  if (now < standby.signsFrom) return { moves: expired, add: [] };
  // Not before signsFrom: workers with two configurations would replace each other's standby key for ever.
  if (standby.algorithm !== algorithm) return { moves: [...expired, retired(standby)], add: [published()] };
  const isDue =
    active.algorithm !== algorithm || (rotateEveryMs > 0 && now >= later(active.activatedAt, rotateEveryMs));
  return isDue
    ? { moves: [...expired, ...handOver(active, standby)], add: [published()] }
    : { moves: expired, add: [] };
}

/** Makes the published key active. `from` is the time when it may sign; null without a published key. */
export function rotation(keys: SigningKeyRecord[], now: Date): KeyPlan | { from: Date | null } {
  const [active, standby] = [inState(keys, 'active'), inState(keys, 'published')];
  if (!standby || now < standby.signsFrom) return { from: standby?.signsFrom ?? null };
  return { moves: active ? handOver(active, standby) : [{ kid: standby.kid, to: 'active' }], add: [] };
}

/** For a key that may have been stolen. Null when it does not exist or is retired. */
export function removal(keys: SigningKeyRecord[], kid: string, now: Date): KeyPlan | null {
  const key = keys.find((one) => one.kid === kid && one.state !== 'retired');
  if (!key) return null;
  const retiredNow: KeyMove = { kid, to: 'retired' };
  if (key.state !== 'active') return { moves: [retiredNow], add: [] };
  const standby = inState(keys, 'published');
  if (standby) return { moves: [retiredNow, { kid: standby.kid, to: 'active' }], add: [] };
  return { moves: [retiredNow], add: [{ algorithm: key.algorithm, signsFrom: now, state: 'active' }] };
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
