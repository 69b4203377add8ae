// OAUTH_PROVIDERS lists the identity providers. The keys OAUTH_<NAME>_... hold the settings of each.
import type { ProviderSettings } from '../../oauth/providers.ts';
import { anyText, itemsOf } from '../formats.ts';
import { API, type Environment, type Keys } from '../key.ts';

const NAME = /^[a-z][a-z0-9]{0,31}$/;
const SCOPES = 'openid email profile';
const GOOGLE = 'https://accounts.google.com';
const GITHUB = { url: 'https://github.com', apiUrl: 'https://api.github.com' };
const HTTPS_URL = anyText('a URL that begins with https://');

export const PROVIDER_LIST_KEYS = {
  OAUTH_PROVIDERS: {
    format: anyText('names of lower-case letters and digits, separated by commas'),
    usedBy: API,
    help: 'The identity providers, such as google,github,acme; every name but github stands for OpenID Connect.',
  },
} as const satisfies Keys;

export const PROVIDER_KEYS = {
  CLIENT_ID: { format: anyText('text'), isRequired: true, usedBy: API, help: 'The client ID at the provider.' },
  CLIENT_SECRET: {
    format: anyText('text'),
    isRequired: true,
    isSecret: true,
    usedBy: API,
    help: 'The client secret at the provider.',
  },
  REDIRECT_URIS: {
    format: anyText('URIs such as https://app.example/callback,com.example.app:/callback'),
    isRequired: true,
    usedBy: API,
    help: 'The redirect URIs, which are compared exactly. Two providers cannot share one, because it identifies the provider of a response.',
  },
  ISSUER: {
    format: HTTPS_URL,
    defaultText: `required; for google ${GOOGLE}`,
    usedBy: API,
    help: 'The issuer of an OpenID provider.',
  },
  SCOPES: { format: anyText('words'), default: SCOPES, usedBy: API, help: 'The scopes of an OpenID provider.' },
  URL: { format: HTTPS_URL, default: GITHUB.url, usedBy: API, help: 'The GitHub Enterprise Server; for github only.' },
  API_URL: {
    format: HTTPS_URL,
    default: GITHUB.apiUrl,
    usedBy: API,
    help: 'The API of the GitHub Enterprise Server; for github only.',
  },
} as const satisfies Keys;

export function providerNames({ OAUTH_PROVIDERS: text = '' }: Environment): string[] {
  return itemsOf(text);
}

export function providerPrefix(name: string): string {
  return `OAUTH_${name.toUpperCase()}_`;
}

export function providerSecrets(environment: Environment): string[] {
  return providerNames(environment).map((name) => `${providerPrefix(name)}CLIENT_SECRET`);
}

/** For imports at the command line, which need no client secrets. An issuer that is not configured is left out. */
export function readIssuers(environment: Environment): Map<string, { issuer: string }> {
  return new Map(
    providerNames(environment).flatMap((name) => {
      const [key, fallback] = name === 'github' ? ['URL', GITHUB.url] : ['ISSUER', name === 'google' ? GOOGLE : ''];
      const issuer = environment[`${providerPrefix(name)}${key}`] ?? fallback ?? '';
      return issuer === ''
        ? []
        : [[name, { issuer: name === 'github' ? issuer.replace(/\/+$/, '') : issuer }] as const];
    }),
  );
}

export function readProviders(environment: Environment, problems: string[]): Map<string, ProviderSettings> {
  const settings = new Map<string, ProviderSettings>();
  for (const name of providerNames(environment)) {
    if (NAME.test(name)) settings.set(name, readProvider(name, environment, [...settings.values()], problems));
    else problems.push('OAUTH_PROVIDERS must be names of lower-case letters and digits, separated by commas');
  }
  return settings;
}

function readProvider(
  name: string,
  environment: Environment,
  others: ProviderSettings[],
  problems: string[],
): ProviderSettings {
  const prefix = providerPrefix(name);
  const read = (key: string, fallback?: string) => {
    const value = environment[`${prefix}${key}`] ?? fallback;
    if (value === undefined) problems.push(`${prefix}${key} is missing`);
    return value ?? '';
  };
  const assertHttps = (key: string, text: string) => {
    if (text !== '' && !isHttps(text)) problems.push(`${prefix}${key} must be a URL that begins with https://`);
    return text;
  };
  const readBaseUrl = (key: string, fallback: string) => assertHttps(key, read(key, fallback).replace(/\/+$/, ''));
  const redirectUris = readRedirectUris(`${prefix}REDIRECT_URIS`, read('REDIRECT_URIS'), others, problems);
  const client = { clientId: read('CLIENT_ID'), clientSecret: read('CLIENT_SECRET'), redirectUris };
  if (name === 'github') {
    const url = readBaseUrl('URL', GITHUB.url);
    return { kind: 'github', ...client, url, apiUrl: readBaseUrl('API_URL', GITHUB.apiUrl) };
  }
  // The issuer of an ID token is compared exactly, with its trailing slash.
  const issuer = assertHttps('ISSUER', read('ISSUER', name === 'google' ? GOOGLE : undefined));
  return { kind: 'openid', ...client, issuer, scopes: read('SCOPES', SCOPES) };
}

function readRedirectUris(key: string, text: string, others: ProviderSettings[], problems: string[]): string[] {
  const uris = itemsOf(text);
  // A response arrives at the normal form of the redirect URI without its query, so another form would never match.
  if (!uris.every((uri) => URL.parse(uri)?.href === uri && !/[#*?]/.test(uri))) {
    problems.push(
      `${key} must be URIs in their normal form such as https://app.example/callback, no query, no fragment, no wildcard`,
    );
  }
  // The redirect URI identifies the provider that a response comes from.
  const taken = others.flatMap((other) => other.redirectUris);
  if (uris.some((uri) => taken.includes(uri))) problems.push(`${key} has a URI that another provider has as well`);
  return uris;
}

/** Cleartext is accepted on this machine only, for tests. */
function isHttps(text: string): boolean {
  const url = URL.parse(text);
  if (url?.username !== '' || url.search !== '' || url.hash !== '') return false;
  const isLocal = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname);
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLocal);
}
