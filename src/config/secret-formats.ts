// The formats of secrets. An error never repeats the value.
import { z } from 'zod';
import { items } from './formats.ts';
import type { Format } from './key.ts';

const MASTER_KEY_BYTES = 32;
const SERVICE_KEY_LENGTH = 32;
const MAX_KEYS_OF_A_SERVICE = 2;
/** The probability that a random key of 32 bytes has fewer different bytes is below 10^-12. */
const MIN_DIFFERENT_BYTES = 16;
const SAMPLE = /change.?me|sample|example|secret|passw(or)?d|placeholder|your.?key|^postgres$|^latchkey$|^admin$/i;
const MASTER_KEY = '32 random bytes in base64 or hex; create them with: openssl rand -base64 32';

export function isSample(text: string): boolean {
  return SAMPLE.test(text);
}

function parseMasterKey(text: string, context: z.core.$RefinementCtx): Buffer {
  const isHex = /^[0-9a-f]{64}$/i.test(text);
  const key = Buffer.from(text, isHex ? 'hex' : 'base64');
  const isEncoded = isHex || /^[A-Za-z0-9+/_-]{43}=?$/.test(text);
  if (!isEncoded || key.length !== MASTER_KEY_BYTES) {
    context.addIssue(`must be ${MASTER_KEY}`);
  } else if (new Set(key).size < MIN_DIFFERENT_BYTES || isSample(text) || isSample(key.toString('latin1'))) {
    context.addIssue('is a sample, not a secret; create one with: openssl rand -base64 32');
  }
  return key;
}

export const masterKey: Format<Buffer> = { text: MASTER_KEY, schema: z.string().transform(parseMasterKey) };

export const masterKeys: Format<Buffer[]> = {
  text: 'master keys, separated by commas',
  schema: items.transform((list, context) => list.map((item) => parseMasterKey(item, context))),
};

/** A name stands twice while its service changes from one key to the next. The names appear in logs. */
export const serviceKeys: Format<Map<string, string[]>> = {
  text: `name=key,name=key, each name at most twice, with keys of at least ${SERVICE_KEY_LENGTH} characters`,
  schema: items.transform((entries, context) => {
    const keys = new Map<string, string[]>();
    for (const entry of entries) {
      const [, name = '', key = ''] = /^([a-z][a-z0-9-]{0,62})=(\S+)$/.exec(entry) ?? [];
      const problem = serviceKeyProblem(name, key, keys);
      if (problem !== null) context.addIssue(problem);
      else keys.set(name, [...(keys.get(name) ?? []), key]);
    }
    return keys;
  }),
};

function serviceKeyProblem(name: string, key: string, before: Map<string, string[]>): string | null {
  if (name === '' || key === '') return 'must be a list of name=key';
  if (key.length < SERVICE_KEY_LENGTH) return 'must have keys of at least 32 characters';
  if (isSample(key)) return 'has a key that is a sample, not a secret';
  if (before.get(name)?.length === MAX_KEYS_OF_A_SERVICE) {
    return 'must have at most two keys for a name: remove the key that its service has replaced';
  }
  const isRepeated = [...before.values()].some((keys) => keys.includes(key));
  return isRepeated ? 'must have each key once: a key identifies one service' : null;
}
