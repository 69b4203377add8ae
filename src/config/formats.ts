import { statSync } from 'node:fs';
import { BlockList, isIP } from 'node:net';
import { z } from 'zod';
import { OWN_AUDIENCE } from '../domain/audience.ts';
import { MAX_OPERATOR_NAME, parseOperatorName } from '../domain/operator-name.ts';
import { SIGNING_ALGORITHMS, type SigningAlgorithm, signingAlgorithmOf } from '../domain/signing-algorithm.ts';
import type { Limit } from '../limits/limits.ts';
import type { Format } from './key.ts';

/** In characters, of all audiences together: an access token has no room for more. */
const MAX_AUDIENCE_LENGTH = 500;
const IDENTITY = /^(spiffe:\/\/[a-z0-9._-]+(\/[A-Za-z0-9._-]+)+|[a-z0-9-]+(\.[a-z0-9-]+)*)$/;

export function integer(least: number, most: number, unit?: string): Format<number> {
  const text = `an integer from ${least} to ${most}`;
  const error = `must be ${text}`;
  const schema = z.coerce.number({ error }).int({ error }).min(least, { error }).max(most, { error });
  return { text, schema, ...(unit !== undefined && { unit }) };
}

export const port = integer(0, 65_535);

export function oneOf<const Word extends string>(words: readonly Word[]): Format<Word> {
  const text = words.length === 2 ? words.join(' or ') : `one of ${words.join(', ')}`;
  return { text, schema: z.enum(words, { error: `must be ${text}` }) };
}

export const onOff = oneOf(['on', 'off']);

/** `Ed25519` means the same as `EdDSA` (RFC 9864). */
export const signingAlgorithm: Format<SigningAlgorithm> = {
  text: `one of ${SIGNING_ALGORITHMS.join(', ')}`,
  schema: z.string().transform((name, context) => {
    const algorithm = signingAlgorithmOf(name);
    if (!algorithm) context.addIssue(`must be one of ${SIGNING_ALGORITHMS.join(', ')}`);
    return algorithm ?? z.NEVER;
  }),
};

export function anyText(text: string): Format<string> {
  return { text, schema: z.string() };
}

export const operatorName: Format<string> = {
  text: `a name of 1 to ${MAX_OPERATOR_NAME} printable characters`,
  schema: z.string().transform((text, context) => {
    try {
      return parseOperatorName(text);
    } catch {
      context.addIssue(`must be a name of 1 to ${MAX_OPERATOR_NAME} printable characters`);
      return z.NEVER;
    }
  }),
};

export const folder: Format<string> = check(
  'a folder that exists',
  z.string(),
  (path) => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false,
);

export function itemsOf(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

export const items = z.string().transform(itemsOf);

/** The `aud` of access tokens. The list always includes Latchkey's own audience. */
export const audiences: Format<string[]> = {
  text: `names, or URIs without a fragment, in printable ASCII, separated by commas, at most ${MAX_AUDIENCE_LENGTH} characters in all`,
  schema: items
    .refine(
      (list) =>
        list.every((item) => /^[\x21-\x7e]+$/.test(item) && !item.includes('#')) &&
        list.join().length <= MAX_AUDIENCE_LENGTH,
      `must be names, or URIs without a fragment, in printable ASCII, at most ${MAX_AUDIENCE_LENGTH} characters in all`,
    )
    .transform((list) => [...new Set([...list, OWN_AUDIENCE])]),
};

export function listOf<const Word extends string>(words: readonly Word[]): Format<Word[]> {
  const isKnown = (item: string): item is Word => (words as readonly string[]).includes(item);
  const text = `a list of these words: ${words.join(', ')}`;
  const list = items.refine((given) => given.every(isKnown), `must be ${text}`);
  return { text, schema: list.transform((given) => given.filter(isKnown)) };
}

/** Shorter words occur in good passwords by chance. */
export const contextWords: Format<string[]> = check(
  'words of 4 to 100 characters, separated by commas',
  items,
  (list) => list.every((item) => item.length >= 4 && item.length <= 100),
);

export const origins: Format<string[]> = check(
  'origins such as https://app.example, without a path; there is no wildcard',
  items,
  (list) => list.every((item) => URL.parse(item)?.origin === item && !item.includes('*')),
);

export const identities: Format<string[]> = check(
  'SPIFFE IDs and DNS names such as spiffe://example.org/orders,billing.internal',
  items,
  (list) => list.every((item) => IDENTITY.test(item)),
);

const NETWORKS = 'addresses and networks such as 10.0.0.0/8,2001:db8::1';
export const networks: Format<BlockList> = {
  text: NETWORKS,
  schema: items.transform((list, context) => {
    const networkList = new BlockList();
    for (const item of list) {
      const [, address = '', prefix] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(item) ?? [];
      const width = { 4: 32, 6: 128 }[isIP(address)] ?? -1;
      const bits = Number(prefix ?? width);
      if (bits >= 0 && bits <= width) networkList.addSubnet(address, bits, width === 128 ? 'ipv6' : 'ipv4');
      else context.addIssue(`must be ${NETWORKS}`);
    }
    return networkList;
  }),
};

const LISTEN_ADDRESS = 'a port, or an address and a port such as 127.0.0.1:8081 or [::1]:8081';
/** The host is empty for that of HOST. */
export const listenAddress: Format<{ host: string; port: number }> = {
  text: LISTEN_ADDRESS,
  schema: z.string().transform((text, context) => {
    const [, bracketed, name = '', digits = ''] = /^(?:(?:\[([^\]]*)\]|([^:[\]\s]*)):)?(\d{1,5})$/.exec(text) ?? [];
    const isValid = digits !== '' && Number(digits) <= 65_535 && (bracketed === undefined || isIP(bracketed) === 6);
    if (!isValid) context.addIssue(`must be ${LISTEN_ADDRESS}`);
    return { host: bracketed ?? name, port: Number(digits) };
  }),
};

const LIMIT = 'attempts/seconds, such as 5/900';
export const limit: Format<Limit> = {
  text: LIMIT,
  schema: z.string().transform((text, context): Limit => {
    const [, points, windowSeconds] = /^([1-9]\d{0,8})\/([1-9]\d{0,6})$/.exec(text) ?? [];
    if (!points || !windowSeconds) context.addIssue(`must be ${LIMIT}`);
    return { points: Number(points), windowSeconds: Number(windowSeconds) };
  }),
};

export function check<T>(text: string, schema: z.ZodType<T>, isValid: (value: T) => boolean): Format<T> {
  return { text, schema: schema.refine(isValid, `must be ${text}`) };
}
