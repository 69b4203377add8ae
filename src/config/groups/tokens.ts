import type { Deps } from '../../deps.ts';
import { MAX_ACCESS_TTL_SECONDS } from '../../verifier/access-token.ts';
import { audiences, integer, onOff } from '../formats.ts';
import { API, type Keys, type Values } from '../key.ts';
import { webUrl } from '../url-formats.ts';
import type { KeySettings } from './keys.ts';

export const API_KEY_MAX_DAYS = {
  format: integer(1, 3_660, 'days'),
  default: '366',
  usedBy: ['serve', 'commands', 'dev'],
  help: 'The longest lifetime of an API key; without a time a key expires in 365 days, or in this many if that is less.',
} as const;

export const TOKEN_KEYS = {
  ISSUER: { format: webUrl, defaultText: 'PUBLIC_URL', usedBy: API, help: 'The iss claim of access tokens.' },
  AUDIENCE: {
    format: audiences,
    default: '',
    usedBy: API,
    help: 'The aud claim of access tokens; latchkey is always added.',
  },
  ACCESS_TOKEN_TTL_SECONDS: {
    format: integer(30, MAX_ACCESS_TTL_SECONDS, 'seconds'),
    default: '900',
    usedBy: API,
    help: 'Lifetime of the access tokens of users.',
  },
  SERVICE_TOKEN_TTL_SECONDS: {
    format: integer(30, MAX_ACCESS_TTL_SECONDS, 'seconds'),
    default: '300',
    usedBy: API,
    help: 'Lifetime of the access tokens of services.',
  },
  API_KEY_MAX_DAYS,
  SESSION_IDLE_SECONDS: {
    format: integer(60, 366 * 86_400, 'seconds'),
    default: String(7 * 86_400),
    usedBy: API,
    help: 'Time after which an unused session expires.',
  },
  SESSION_MAX_SECONDS: {
    format: integer(60, 5 * 366 * 86_400, 'seconds'),
    default: String(90 * 86_400),
    usedBy: API,
    help: 'Time after which every session expires.',
  },
  MAX_SESSIONS_PER_USER: {
    // ListSessions returns at most 100.
    format: integer(1, 100),
    default: '100',
    usedBy: API,
    help: 'Sessions of a user; a further one ends the session that was unused for longest.',
  },
  REQUIRE_EMAIL_VERIFICATION: {
    format: onOff,
    default: 'off',
    usedBy: API,
    help: 'With on, users can sign in only after they have verified their address, and Register does not reveal whether an address has an account.',
  },
  REAUTHENTICATION_SECONDS: {
    format: integer(30, 86_400, 'seconds'),
    default: '600',
    usedBy: API,
    help: 'Time for which a re-authentication counts.',
  },
  VERIFY_REVALIDATE_SECONDS: {
    format: integer(0, 60, 'seconds'),
    default: '1',
    usedBy: API,
    help: 'Time for which callers can cache a response of Verify.',
  },
  REVOCATION_POLL_MS: {
    format: integer(50, 5_000, 'milliseconds'),
    default: '500',
    usedBy: API,
    help: 'Interval at which revocations are read from Postgres without a notification.',
  },
  REVOCATION_MAX_AGE_MS: {
    format: integer(100, 60_000, 'milliseconds'),
    default: '5000',
    usedBy: API,
    help: 'Age of the revocation view beyond which Verify reads Postgres.',
  },
  TOKEN_CACHE_MB: {
    format: integer(0, 65_536, 'MiB'),
    default: '64',
    usedBy: API,
    help: 'Memory for verified tokens.',
  },
} as const satisfies Keys;

export type TokenSettings = Deps['tokenSettings'];
export type AccountSettings = {
  requiresVerifiedEmail: boolean;
  reauthenticationSeconds: number;
  apiKeyMaxDays: number;
};
export type VerifierSettings = { revalidateSeconds: number; pollMs: number; maxViewAgeMs: number; cacheBytes: number };

export function tokenSettings(values: Values<typeof TOKEN_KEYS>, publicUrl: string): TokenSettings {
  return {
    issuer: values.ISSUER ?? publicUrl,
    audiences: values.AUDIENCE,
    accessTtlSeconds: values.ACCESS_TOKEN_TTL_SECONDS,
    serviceTokenTtlSeconds: values.SERVICE_TOKEN_TTL_SECONDS,
    sessionIdleSeconds: values.SESSION_IDLE_SECONDS,
    sessionMaxSeconds: values.SESSION_MAX_SECONDS,
    maxSessionsPerUser: values.MAX_SESSIONS_PER_USER,
  };
}

export function accountSettings(values: Values<typeof TOKEN_KEYS>): AccountSettings {
  return {
    requiresVerifiedEmail: values.REQUIRE_EMAIL_VERIFICATION === 'on',
    reauthenticationSeconds: values.REAUTHENTICATION_SECONDS,
    apiKeyMaxDays: values.API_KEY_MAX_DAYS,
  };
}

export function verifierSettings(
  values: Values<typeof TOKEN_KEYS>,
  { policy }: KeySettings,
  problems: string[],
): VerifierSettings {
  // A verifier without a key reads Postgres before it rejects a token, unless its view is too old.
  if (policy.publishMs < 2 * values.REVOCATION_MAX_AGE_MS) {
    problems.push('KEY_PUBLISH_SECONDS must be at least twice REVOCATION_MAX_AGE_MS');
  }
  return {
    revalidateSeconds: values.VERIFY_REVALIDATE_SECONDS,
    pollMs: values.REVOCATION_POLL_MS,
    maxViewAgeMs: values.REVOCATION_MAX_AGE_MS,
    cacheBytes: values.TOKEN_CACHE_MB * 1024 * 1024,
  };
}
