// Finds environment variables that were probably meant for Latchkey and that no key reads.
//
// Other software and the orchestrator have variables in the same environment, also with a first word of Latchkey's keys
// (DATABASE_NAME, SMTP_HOST, OTEL_RESOURCE_ATTRIBUTES). So an unknown variable is an error only in four cases, in which
// it has hardly another reader:
// - LIMIT_..., a prefix of Latchkey alone;
// - OAUTH_<NAME>_... of a provider that OAUTH_PROVIDERS lists;
// - a key with a spelling error, or with another unit or none (ACCESS_TOKEN_TTL), unless the key itself is set: REDIS_URI
//   beside REDIS_URL belongs to other software;
// - <KEY>_FILE of a key that is not a secret, because only secrets are read from files.
import { closestName } from './closest-name.ts';
import { CONFIGURATION } from './configuration.ts';
import { LIMIT_PREFIX } from './groups/limits.ts';
import { PROVIDER_KEYS, providerNames, providerPrefix } from './groups/providers.ts';
import type { Environment } from './key.ts';

const UNIT = /_(SECONDS?|SECS?|MS|MILLIS|MILLISECONDS|MINUTES|HOURS|DAYS|BYTES|KB|KIB|MB|MIB|GB|GIB)$/;
/** Kubernetes adds <NAME>_PORT=tcp://10.0.0.1:80, <NAME>_PORT_80_TCP_ADDR and others for each Service. */
const SERVICE_LINK = /_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/;
const KNOWN = new Set(CONFIGURATION.flatMap(({ name, isSecret }) => (isSecret ? [name, `${name}_FILE`] : [name])));
/** Many other names resemble HOST and PORT. */
const MIN_NAME_LENGTH = 6;

export function unknownVariables(environment: Environment, keys: string[]): string[] {
  const ofProviders = providerKeys(environment);
  return Object.entries(environment).flatMap(([name, value = '']) => {
    if (KNOWN.has(name) || ofProviders.includes(name) || SERVICE_LINK.test(name) || /^(tcp|udp|sctp):/.test(value))
      return [];
    return problemOf(name, environment, keys) ?? [];
  });
}

function problemOf(name: string, environment: Environment, keys: string[]): string | null {
  if (name.startsWith(LIMIT_PREFIX)) {
    const limits = keys.filter((key) => key.startsWith(LIMIT_PREFIX));
    return limits.length === 0 ? null : unknown(name, closestName(name, limits), 'no limit has this name');
  }
  const prefix = providerNames(environment)
    .map(providerPrefix)
    .find((start) => name.startsWith(start));
  if (prefix !== undefined && keys.includes('OAUTH_PROVIDERS')) {
    const names = Object.keys(PROVIDER_KEYS).map((key) => `${prefix}${key}`);
    return unknown(name, closestName(name, names) ?? sameWithoutUnit(name, names), 'providers have no such key');
  }
  const unset = keys.filter((key) => environment[key] === undefined && key.length >= MIN_NAME_LENGTH);
  const meant = closestName(name, unset) ?? sameWithoutUnit(name, unset);
  if (meant !== null) return unknown(name, meant, '');
  const base = name.replace(/_FILE$/, '');
  const isFile = base !== name && base.length >= MIN_NAME_LENGTH && keys.includes(base);
  return isFile ? `${name} has no effect: only secrets are read from files; set ${base}` : null;
}

function unknown(name: string, meant: string | null, otherwise: string): string {
  return `${name} is unknown: ${meant === null ? otherwise : `did you mean ${meant}?`}`;
}

/** At least two words must be the same, because KEEPALIVE alone is too general. */
function sameWithoutUnit(name: string, keys: string[]): string | null {
  const stem = name.replace(UNIT, '');
  return keys.find((key) => stem.includes('_') && UNIT.test(key) && key.replace(UNIT, '') === stem) ?? null;
}

function providerKeys(environment: Environment): string[] {
  return providerNames(environment).flatMap((name) =>
    Object.keys(PROVIDER_KEYS).map((key) => `${providerPrefix(name)}${key}`),
  );
}
