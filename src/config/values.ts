// How single values of the environment are read: their form, and what each says of one that is bad, without repeating it.
import { statSync } from 'node:fs';
import { BlockList, isIP } from 'node:net';
import { z } from 'zod';
import { OWN_AUDIENCE } from '../domain/audience.ts';
import { parseEmail } from '../domain/email.ts';
import { isLoopback } from '../domain/loopback.ts';
import { InvalidValue } from '../domain/parse-fields.ts';
import type { Sender } from '../jobs/mailer.ts';
import type { Limit } from '../limits/limits.ts';
import { parseRedisUrl, REDIS_URL_FORMS } from '../redis/parse-redis-url.ts';
import { asksForPrimary, hostUrls, PRIMARY_ATTRIBUTES } from '../store/postgres/host-urls.ts';
import { hasUnencodedLogin, UNENCODED_LOGIN } from './unencoded-login.ts';

const MASTER_KEY_BYTES = 32;
const SERVICE_KEY_LENGTH = 32;
/** A random key of 32 bytes has fewer different ones less than once in 10^12 times. */
const MIN_DIFFERENT_BYTES = 16;
const SAMPLE = /change.?me|sample|example|secret|passw(or)?d|placeholder|your.?key|^postgres$|^latchkey$|^admin$/i;
const IDENTITY = /^(spiffe:\/\/[a-z0-9._-]+(\/[A-Za-z0-9._-]+)+|[a-z0-9-]+(\.[a-z0-9-]+)*)$/;
/** Of all audiences together: a token has room for so many, and no more. */
const MAX_AUDIENCE_LENGTH = 500;
/** Of passwords in URLs. */
const SHORT = 12;

export const number = (least: number, most: number) => z.coerce.number().int().min(least).max(most);

function protocolProblem(text: string, protocols: string[]): string | null {
  if (protocols.includes(URL.parse(text)?.protocol ?? '')) return null;
  return `must be a URL that begins with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`;
}

/** Of a URL with one host or several. */
function databaseProblem(text: string): string | null {
  const urls = hostUrls(text);
  if (urls.length > 1 && !urls.every((one) => URL.parse(one)?.host))
    return 'must name a host before and after each comma';
  const [problem] = urls.flatMap((one) => protocolProblem(one, ['postgres:', 'postgresql:']) ?? []);
  if (problem !== undefined) return problem;
  if (asksForPrimary(text)) return null;
  return `must ask for the primary: target_session_attrs is ${PRIMARY_ATTRIBUTES.join(' or ')}, or left out`;
}

/**
 * A URL with a login.
 * @param problemOf a sentence for a URL of another form, or null
 * @param orElse a word that stands for no connection
 */
function connectionUrl(problemOf: (text: string) => string | null, orElse?: string) {
  return z.string().superRefine((text, context) => {
    if (text === orElse) return;
    const problem = hasUnencodedLogin(text) ? UNENCODED_LOGIN : problemOf(text);
    if (problem !== null) context.addIssue(orElse === undefined ? problem : `${problem}, or ${orElse}`);
  });
}

export const webUrl = z
  .string()
  .superRefine((text, context) => {
    const problem = protocolProblem(text, ['http:', 'https:']);
    if (problem !== null) context.addIssue(problem);
  })
  .transform((text) => text.replace(/\/+$/, ''));

export const databaseUrl = connectionUrl(databaseProblem);
export const databaseUrlOr = (word: string) => connectionUrl(databaseProblem, word);
export const redisUrl = connectionUrl((text) => (parseRedisUrl(text) ? null : REDIS_URL_FORMS));
export const smtpUrl = connectionUrl((text) => protocolProblem(text, ['smtp:', 'smtps:']));

const MAX_DISPLAY_NAME = 100;

/** `no-reply@example.com` or `Acme Accounts <no-reply@example.com>` */
export const sender = z.string().transform((text, context): Sender => {
  const [, quoted, plain = '', inBrackets] =
    /^\s*(?:"((?:[^"\\]|\\.)*)"|([^"<>]*?))\s*<([^<>]*)>\s*$/s.exec(text) ?? [];
  const name = quoted?.replace(/\\(.)/gs, '$1') ?? plain;
  if (/\p{C}/u.test(name) || name.length > MAX_DISPLAY_NAME) {
    context.addIssue(`must have a display name of at most ${MAX_DISPLAY_NAME} characters, without control characters`);
  }
  try {
    return { name, address: parseEmail(inBrackets ?? text.trim()) };
  } catch (error) {
    if (!(error instanceof InvalidValue)) throw error;
    context.addIssue('must be an address such as no-reply@example.com or Acme Accounts <no-reply@example.com>');
    return z.NEVER;
  }
});

/** What RFC 5321 takes in EHLO: a host name, or an address in brackets. */
export const heloName = z
  .string()
  .max(255)
  .regex(
    /^(?:(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}|\[\d{1,3}(?:\.\d{1,3}){3}\]|\[IPv6:[0-9a-f:.]+\])$/i,
    'must be a host name such as mail.example.com, or an address in brackets such as [192.0.2.7]',
  );

/** 32 bytes as base64, base64url or hex. */
function parseMasterKey(text: string, context: z.core.$RefinementCtx): Buffer {
  const isHex = /^[0-9a-f]{64}$/i.test(text);
  const key = Buffer.from(text, isHex ? 'hex' : 'base64');
  const isEncoded = isHex || /^[A-Za-z0-9+/_-]{43}=?$/.test(text);
  if (!isEncoded || key.length !== MASTER_KEY_BYTES) {
    context.addIssue('must be 32 random bytes in base64 or hex; make it with: openssl rand -base64 32');
  } else if (new Set(key).size < MIN_DIFFERENT_BYTES || SAMPLE.test(text) || SAMPLE.test(key.toString('latin1'))) {
    context.addIssue('is a sample, not a secret; make one with: openssl rand -base64 32');
  }
  return key;
}

export const masterKey = z.string().transform(parseMasterKey);

/** The items between commas, without the spaces around them; none is an empty list. */
export function itemsOf(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

const separated = z.string().transform(itemsOf);

export const masterKeys = separated.transform((items, context) => items.map((item) => parseMasterKey(item, context)));

/** `aud` of access tokens; with Latchkey's own, whether or not the list has it. */
export const audiences = separated
  .refine(
    (items) => items.every((item) => /^[\x21-\x7e]+$/.test(item)) && items.join().length <= MAX_AUDIENCE_LENGTH,
    `must be names or URIs in printable ASCII, at most ${MAX_AUDIENCE_LENGTH} characters in all`,
  )
  .transform((items) => [...new Set([...items, OWN_AUDIENCE])]);

/** Words of a list that is known beforehand. */
export function closedList<const Word extends string>(words: readonly Word[]) {
  return separated.transform((items, context): Word[] => {
    const isKnown = (item: string): item is Word => (words as readonly string[]).includes(item);
    if (!items.every(isKnown)) context.addIssue(`must be a list of these words: ${words.join(', ')}`);
    return items.filter(isKnown);
  });
}

/** `acme,rocket skates`; shorter ones stand in good passwords by chance. */
export const contextWords = separated.refine(
  (items) => items.every((item) => item.length >= 4 && item.length <= 100),
  'must be words of 4 to 100 characters, separated by commas',
);

export const folder = z
  .string()
  .refine((path) => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false, 'must be a folder that exists');

/** `name=key,name=key`; the name goes into logs. */
export const serviceKeys = separated.transform((entries, context) => {
  const keys = new Map<string, string>();
  for (const entry of entries) {
    const [, name, key] = /^([a-z][a-z0-9-]{0,62})=(\S+)$/.exec(entry) ?? [];
    if (!name || !key || keys.has(name)) context.addIssue('must be a list of name=key, each name once');
    else if (key.length < SERVICE_KEY_LENGTH) context.addIssue('must have keys of at least 32 characters');
    else if (SAMPLE.test(key)) context.addIssue('has a key that is a sample, not a secret');
    else keys.set(name, key);
  }
  return keys;
});

/** `https://app.example,http://localhost:3000` */
export const origins = separated.refine(
  (items) => items.every((item) => URL.parse(item)?.origin === item && !item.includes('*')),
  'must be origins such as https://app.example, without a path; there is no wildcard',
);

/** `10.0.0.0/8,192.0.2.7,2001:db8::/32` */
export const networks = separated.transform((items, context) => {
  const list = new BlockList();
  for (const item of items) {
    const [, address = '', prefix] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(item) ?? [];
    const width = { 4: 32, 6: 128 }[isIP(address)] ?? -1;
    const bits = Number(prefix ?? width);
    if (bits >= 0 && bits <= width) list.addSubnet(address, bits, width === 128 ? 'ipv6' : 'ipv4');
    else context.addIssue('must be addresses and networks such as 10.0.0.0/8,2001:db8::1');
  }
  return list;
});

/** `spiffe://example.org/orders,billing.internal` */
export const identities = separated.refine(
  (items) => items.every((item) => IDENTITY.test(item)),
  'must be SPIFFE IDs and DNS names such as spiffe://example.org/orders,billing.internal',
);

/** The name in EHLO that belongs to a deployment's URL: a host name, or an address in brackets. */
export function heloNameOf(publicUrl: string): string {
  const { hostname } = new URL(publicUrl);
  if (isLoopback(hostname)) return 'localhost';
  const address = hostname.replace(/^\[|\]$/g, '');
  return { 0: hostname, 4: `[${address}]`, 6: `[IPv6:${address}]` }[isIP(address)] as string;
}

export const limit = z.string().transform((text, context): Limit => {
  const [, points, windowSeconds] = /^([1-9]\d{0,8})\/([1-9]\d{0,6})$/.exec(text) ?? [];
  if (!points || !windowSeconds) context.addIssue('must have the form points/seconds, such as 5/900');
  return { points: Number(points), windowSeconds: Number(windowSeconds) };
});

/** Of a URL. One without a password is fine: there are other ways to prove who one is. */
export function hasWeakPassword(text: string): boolean {
  const redis = parseRedisUrl(text);
  const passwords = redis
    ? [redis.password, redis.sentinelPassword]
    : [URL.parse(hostUrls(text)[0] ?? '')?.password ?? ''];
  return passwords.some((password) => password !== '' && (password.length < SHORT || SAMPLE.test(password)));
}
