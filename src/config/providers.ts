// What configuration says of providers: OAUTH_PROVIDERS names them, OAUTH_<NAME>_... says the rest of each.
import type { ProviderSettings } from '../oauth/providers.ts';
import { itemsOf } from './values.ts';

type Values = Record<string, string | undefined>;

const NAME = /^[a-z][a-z0-9]{0,31}$/;
const SCOPES = 'openid email profile';
const GOOGLE = 'https://accounts.google.com';
const GITHUB = { url: 'https://github.com', apiUrl: 'https://api.github.com' };

/** The keys of one provider that may come from a file instead. */
export function providerSecrets(values: Values): string[] {
  return namesOf(values).map((name) => `OAUTH_${name.toUpperCase()}_CLIENT_SECRET`);
}

/** @param problems hears, in a sentence each, of what is missing or cannot be */
export function readProviders(values: Values, problems: string[]): Map<string, ProviderSettings> {
  const settings = new Map<string, ProviderSettings>();
  for (const name of namesOf(values)) {
    if (!NAME.test(name)) {
      problems.push('OAUTH_PROVIDERS must be names of lower-case letters and digits, separated by commas');
      continue;
    }
    const prefix = `OAUTH_${name.toUpperCase()}`;
    const take = (key: string, fallback?: string) => {
      const value = values[`${prefix}_${key}`] ?? fallback;
      if (value === undefined) problems.push(`${prefix}_${key} is missing`);
      return value ?? '';
    };
    // An issuer is compared as it is.
    const takeUrl = (key: string, fallback?: string, isBase = true) => {
      const text = isBase ? take(key, fallback).replace(/\/+$/, '') : take(key, fallback);
      if (text !== '' && !isTrustworthy(text))
        problems.push(`${prefix}_${key} must be a URL that begins with https://`);
      return text;
    };
    const redirectUris = readRedirectUris(`${prefix}_REDIRECT_URIS`, take('REDIRECT_URIS'), settings, problems);
    const client = { clientId: take('CLIENT_ID'), clientSecret: take('CLIENT_SECRET'), redirectUris };
    if (name === 'github') {
      const url = takeUrl('URL', GITHUB.url);
      settings.set(name, { kind: 'github', ...client, url, apiUrl: takeUrl('API_URL', GITHUB.apiUrl) });
    } else {
      const issuer = takeUrl('ISSUER', name === 'google' ? GOOGLE : undefined, false);
      settings.set(name, { kind: 'openid', ...client, issuer, scopes: take('SCOPES', SCOPES) });
    }
  }
  return settings;
}

/** `https://app.example/callback,com.example.app:/callback`; compared as they are. */
function readRedirectUris(
  key: string,
  text: string,
  others: Map<string, ProviderSettings>,
  problems: string[],
): string[] {
  const uris = itemsOf(text);
  // What the provider is told is the normal form without a query; anything else would never match.
  if (!uris.every((uri) => URL.parse(uri)?.href === uri && !/[#*?]/.test(uri))) {
    problems.push(
      `${key} must be URIs in their normal form such as https://app.example/callback, no query, no fragment, no wildcard`,
    );
  }
  // Where the browser comes back tells which provider has answered.
  const taken = [...others.values()].flatMap((other) => other.redirectUris);
  if (uris.some((uri) => taken.includes(uri))) problems.push(`${key} has one that another provider has as well`);
  return uris;
}

function namesOf({ OAUTH_PROVIDERS: text = '' }: Values): string[] {
  return itemsOf(text);
}

/** Cleartext is for tests on this machine. */
function isTrustworthy(text: string): boolean {
  const url = URL.parse(text);
  if (url?.username !== '' || url.search !== '' || url.hash !== '') return false;
  return (
    url.protocol === 'https:' ||
    (url.protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname))
  );
}
