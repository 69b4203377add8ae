// The formats of URLs. An error never repeats the URL, which can hold a password.
import { isIP } from 'node:net';
import { z } from 'zod';
import { isLoopback } from '../domain/loopback.ts';
import { parseRedisUrl, REDIS_URL_FORMS } from '../redis/parse-redis-url.ts';
import { asksForPrimary, hostUrls, PRIMARY_ATTRIBUTES } from '../store/postgres/host-urls.ts';
import type { Format } from './key.ts';
import { isSample } from './secret-formats.ts';
import { hasUnencodedLogin, UNENCODED_LOGIN } from './unencoded-login.ts';

const MIN_PASSWORD_LENGTH = 12;
const POSTGRES = ['postgres:', 'postgresql:'];
const SMTP = ['smtp:', 'smtps:'];
const WEB = ['http:', 'https:'];

function protocolProblem(text: string, protocols: string[]): string | null {
  return protocols.includes(URL.parse(text)?.protocol ?? '') ? null : `must be ${urlText(protocols)}`;
}

function urlText(protocols: string[]): string {
  return `a URL that begins with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`;
}

function databaseProblem(text: string): string | null {
  const urls = hostUrls(text);
  if (urls.length > 1 && !urls.every((url) => URL.parse(url)?.host)) {
    return 'must name a host before and after each comma';
  }
  const [problem] = urls.flatMap((url) => protocolProblem(url, POSTGRES) ?? []);
  if (problem !== undefined) return problem;
  if (asksForPrimary(text)) return null;
  return `must select the primary: target_session_attrs is ${PRIMARY_ATTRIBUTES.join(' or ')}, or left out`;
}

/**
 * @param problemOf a sentence for an invalid URL, or null
 * @param alternative a word that is accepted in place of a URL
 */
function connectionUrl(text: string, problemOf: (url: string) => string | null, alternative?: string): Format<string> {
  const suffix = alternative === undefined ? '' : `, or ${alternative}`;
  const schema = z.string().superRefine((url, context) => {
    if (url === alternative) return;
    const problem = hasUnencodedLogin(url) ? UNENCODED_LOGIN : problemOf(url);
    if (problem !== null) context.addIssue(`${problem}${suffix}`);
  });
  return { text: `${text}${suffix}`, schema };
}

/** Paths are appended to it. An issuer has neither query nor fragment (RFC 8414 section 2). */
export const webUrl: Format<string> = {
  text: urlText(WEB),
  schema: z
    .string()
    .superRefine((text, context) => {
      const problem = protocolProblem(text, WEB);
      if (problem !== null) context.addIssue(problem);
      else if (/[?#]|:\/\/[^/]*@/.test(text)) context.addIssue('must have no user, query or fragment');
    })
    .transform((text) => text.replace(/\/+$/, '')),
};

export const databaseUrl = connectionUrl(urlText(POSTGRES), databaseProblem);
export const databaseUrlOr = (word: string) => connectionUrl(urlText(POSTGRES), databaseProblem, word);
export const redisUrl = connectionUrl(urlText(['redis:', 'rediss:', 'redis+sentinel:', 'redis+cluster:']), (text) =>
  parseRedisUrl(text) ? null : REDIS_URL_FORMS,
);
export const smtpUrl = connectionUrl(urlText(SMTP), (text) => protocolProblem(text, SMTP));

/** A URL without a password is valid: a client can authenticate in other ways. */
export function hasWeakPassword(text: string): boolean {
  const redis = parseRedisUrl(text);
  const passwords = redis
    ? [redis.password, redis.sentinelPassword]
    : [URL.parse(hostUrls(text)[0] ?? '')?.password ?? ''];
  return passwords.some((password) => password !== '' && (password.length < MIN_PASSWORD_LENGTH || isSample(password)));
}

/** RFC 5321 section 4.1.1.1: a host name, or an address in brackets. */
export function heloNameOf(publicUrl: string): string {
  const { hostname } = new URL(publicUrl);
  if (isLoopback(hostname)) return 'localhost';
  const address = hostname.replace(/^\[|\]$/g, '');
  return { 0: hostname, 4: `[${address}]`, 6: `[IPv6:${address}]` }[isIP(address)] as string;
}
