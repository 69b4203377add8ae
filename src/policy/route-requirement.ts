// The requirements of a route, as gateways state them. One table has every requirement, and one parser reads it from
// every source. This folder owns the requirements of routes and the policy file. It must not verify tokens or decide
// about a request.
import { strongerOf } from '../domain/acr.ts';
import { InvalidValue, parseFields } from '../domain/parse-fields.ts';
import { parseAcrText, parseMaxAgeText } from '../domain/required-strength.ts';
import { parseRole } from '../domain/role.ts';

type Row<T> = {
  /** The name in every source: query, context extensions, metadata, policy file. */
  name: string;
  parse(text: string): T;
  /** Returns a value that is as strict as both. */
  combine(one: T, other: T): T;
  fallback: T;
};

/** A row per requirement. The words of a choice stand in order of strictness. The first is the default. */
const TABLE = {
  /** `optional`: anonymous without a token, rejected with an invalid one. `public`: always anonymous. */
  access: choice('access', ['required', 'optional', 'public']),
  /** The caller must hold each of these roles. */
  roles: list('role', parseRole),
  /** The token must carry each of these audiences. */
  audiences: list('audience', parseAudience),
  /** The strength that the user's authentication must have at least. */
  acr: optional('acr', parseAcrText, strongerOf),
  /** The greatest age of the authentication, in seconds. */
  maxAgeSeconds: optional('max_age', parseMaxAgeText, (one, other) => Math.min(one, other)),
  /** Whether the API key of a service account counts as a token. */
  apiKeys: choice('api_keys', ['reject', 'accept']),
  /** `pass`: a CORS preflight is anonymous with any access. */
  preflight: choice('preflight', ['check', 'pass']),
  /** `cookie`: the session cookie of a browser counts as a token. */
  session: choice('session', ['none', 'cookie']),
  /** `header`: the address of the sign-in page is in `x-auth-redirect` of a 401, because nginx passes on no 302. */
  redirect: choice('redirect', ['location', 'header']),
};

type Table = typeof TABLE;
type Field = keyof Table;

export type RouteRequirement = { [field in Field]: Table[field]['fallback'] };
/** The requirements that one source states. */
export type StatedRequirement = Partial<RouteRequirement>;

const ROWS = Object.entries(TABLE) as [Field, Row<unknown>][];
const NAMES: string[] = ROWS.map(([, { name }]) => name);
export const NO_REQUIREMENT: StatedRequirement = {};

/**
 * Unknown names are rejected: a misspelt `role` must not open a route.
 * @param prefix of the names in violations
 * @throws AuthError INVALID_ARGUMENT with one violation for each invalid name or value
 */
export function parseRequirement(values: Record<string, string>, prefix = ''): StatedRequirement {
  const names = Object.keys(values);
  if (names.length === 0) return NO_REQUIREMENT;
  const rows = ROWS.filter(([, { name }]) => Object.hasOwn(values, name));
  const parsers = rows.map(([, { name, parse }]) => [prefix + name, () => parse(values[name] as string)] as const);
  const unknown = names.filter((name) => !NAMES.includes(name)).map((name) => [prefix + name, rejectName] as const);
  const parsed = parseFields(Object.fromEntries([...parsers, ...unknown]));
  const stated: StatedRequirement = Object.fromEntries(rows.map(([field, { name }]) => [field, parsed[prefix + name]]));
  parseFields({ [`${prefix}access`]: () => rejectContradiction(stated) });
  return stated;
}

/** Returns a requirement that is as strict as each source, so that no source can relax another. */
export function combineRequirements(sources: StatedRequirement[]): RouteRequirement {
  const [only = NO_REQUIREMENT, ...more] = sources.filter((source) => source !== NO_REQUIREMENT);
  if (more.length > 0) return combine(sources);
  const known = completed.get(only) ?? combine([only]);
  completed.set(only, known);
  return known;
}

/** A rule of a policy completes to the same requirement for every request. */
const completed = new WeakMap<StatedRequirement, RouteRequirement>();

function combine(sources: StatedRequirement[]): RouteRequirement {
  const combined: Record<string, unknown> = {};
  for (const [field, { combine, fallback }] of ROWS) {
    const values: unknown[] = sources.flatMap((source) => (field in source ? [source[field]] : []));
    combined[field] = values.length === 0 ? fallback : values.reduce(combine);
  }
  return withIdentity(combined as RouteRequirement);
}

/** A role, a strength or an audience that one source requires excludes the anonymous access of another. */
function withIdentity(requirement: RouteRequirement): RouteRequirement {
  const { access, roles, audiences, acr, maxAgeSeconds } = requirement;
  if (roles.length > 0 || acr !== null || maxAgeSeconds !== null) return { ...requirement, access: 'required' };
  return audiences.length > 0 && access === 'public' ? { ...requirement, access: 'optional' } : requirement;
}

function rejectContradiction(stated: StatedRequirement): void {
  const { access = 'required', roles = [], audiences = [], acr = null, maxAgeSeconds = null } = stated;
  if ((acr !== null || maxAgeSeconds !== null) && access !== 'required')
    throw new InvalidValue('must be required for a route with acr or max_age');
  if (roles.length > 0 && access !== 'required') throw new InvalidValue('must be required for a route with a role');
  if (audiences.length > 0 && access === 'public')
    throw new InvalidValue('must be required or optional for a route with an audience');
}

function choice<const Word extends string>(name: string, words: readonly [Word, ...Word[]]): Row<Word> {
  return {
    name,
    parse(text) {
      const word = words.find((one) => one === text);
      if (word === undefined) throw new InvalidValue(`must be one of ${words.join(', ')}`);
      return word;
    },
    combine: (one, other) => words[Math.min(words.indexOf(one), words.indexOf(other))] as Word,
    fallback: words[0],
  };
}

function list(name: string, parse: (text: string) => string): Row<readonly string[]> {
  return {
    name,
    parse: (text) => [parse(text)],
    combine: (one, other) => [...new Set([...one, ...other])],
    fallback: [],
  };
}

/** Null when it is not required. */
function optional<T>(name: string, parse: (text: string) => T, strictest: (one: T, other: T) => T): Row<T | null> {
  return {
    name,
    parse,
    combine: (one, other) => (one === null || other === null ? (one ?? other) : strictest(one, other)),
    fallback: null,
  };
}

function parseAudience(text: string): string {
  if (text === '') throw new InvalidValue('must not be empty');
  return text;
}

function rejectName(): never {
  throw new InvalidValue(`is not one of ${NAMES.join(', ')}`);
}
