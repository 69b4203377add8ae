import { invalid } from './parse-fields.ts';
import { UNPRINTABLE } from './unprintable.ts';

/** Stored: a word never changes its meaning. */
export type FactorKind = 'totp' | 'passkey';

export type Factor = {
  id: string;
  kind: FactorKind;
  name: string;
  createdAt: Date;
  lastUsedAt: Date | null;
  /** False for an authenticator app. */
  backedUp: boolean;
};

/** A proof of a second step: a recovery code is not a factor of its own. */
export type ProofKind = FactorKind | 'recovery_code';

/** A code of an authenticator app, a recovery code, or the JSON of a passkey's response. */
export type Proof = { kind: ProofKind; text: string };

export const MAX_FACTORS: Record<FactorKind, number> = { totp: 5, passkey: 20 };

const DEFAULT_NAMES: Record<FactorKind, string> = { totp: 'Authenticator app', passkey: 'Passkey' };
const MAX_CODE_POINTS = 100;
const MAX_UNITS = 4 * MAX_CODE_POINTS;

/** @throws InvalidValue */
export function parseFactorName(text: string): string {
  const name = text.length > MAX_UNITS ? '' : text.normalize('NFC').trim();
  if (name === '' || [...name].length > MAX_CODE_POINTS) invalid('must have 1 to 100 characters');
  if (UNPRINTABLE.test(name)) invalid('must have no control or invisible characters');
  return name;
}

/** As parseFactorName. An empty text is the default name of the kind. */
export function parseNewFactorName(text: string, kind: FactorKind): string {
  return text === '' ? DEFAULT_NAMES[kind] : parseFactorName(text);
}
