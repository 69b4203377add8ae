// The buckets that belong to an account or to a network.
import { isBudget, isByNetwork, LIMITS, type Limit, type LimitName } from './limits.ts';
import { bucketsOf, factorOf } from './take-from.ts';

export type LimitBucket = { limit: LimitName; key: string; maximum: number };

export type CountedAccount = {
  /** A hash for each accepted master key. */
  accounts: string[];
  mailboxes: string[];
  /** Empty for an address without an account. */
  userId: string;
  /** Null without an account. */
  passwordEpoch: number | null;
  /** Those that are not expired. */
  sessionIds: string[];
};

type Limits = Record<LimitName, Limit>;

const NAMES = Object.keys(LIMITS) as LimitName[];

/** The revocation of sessions counts wrong passwords by session, and a step-up wrong codes. */
const ALSO_BY_SESSION: LimitName[] = ['CHANGE_PASSWORD_USER', 'FACTOR_CODE_USER', 'FACTOR_CODE_USER_DAY'];

/** @param networks for each of `accounts` */
export function bucketsOfAccount(limits: Limits, account: CountedAccount, networks: string[][]): LimitBucket[] {
  const { accounts, mailboxes, userId, passwordEpoch, sessionIds } = account;
  const ofUser = userId === '' ? [] : [userId];
  const keys: Record<string, string[]> = {
    '<account>': accounts,
    '<account>:<network>': accounts.flatMap((hash, n) => (networks[n] ?? []).map((network) => `${hash}:${network}`)),
    '<mailbox>': mailboxes,
    '<user id>': ofUser,
    '<user id>:<password epoch>': ofUser.map((id) => `${id}:${passwordEpoch}`),
    '<session id>': sessionIds,
  };
  return NAMES.flatMap((limit) => {
    const own = keys[LIMITS[limit].key] ?? [];
    const found = ALSO_BY_SESSION.includes(limit) ? [...own, ...sessionIds] : own;
    return found.map((key) => bucket(limits, limit, key));
  });
}

export function bucketsOfNetwork(limits: Limits, address: string): LimitBucket[] {
  return NAMES.filter(isByNetwork).flatMap((limit) =>
    bucketsOf(limit, address).map(({ key }) => bucket(limits, limit, key)),
  );
}

export function budgetBuckets(limits: Limits): LimitBucket[] {
  return NAMES.filter((limit) => isBudget(limit) && LIMITS[limit].key === 'all').map((limit) =>
    bucket(limits, limit, 'all'),
  );
}

/** Null when the text is not the name and the key of a limit. */
export function parseBucket(limits: Limits, text: string): LimitBucket | null {
  const split = text.indexOf(':');
  const limit = NAMES.find((name) => name === text.slice(0, split));
  return limit === undefined ? null : bucket(limits, limit, text.slice(split + 1));
}

function bucket(limits: Limits, limit: LimitName, key: string): LimitBucket {
  const factor = isByNetwork(limit) ? factorOf(key) : 1;
  return { limit, key, maximum: Math.ceil(limits[limit].points * factor) };
}

/** Null for a limit that does not count by account and network. */
export function networkOfPair({ limit, key }: Pick<LimitBucket, 'limit' | 'key'>): string | null {
  return limit === 'LOGIN_PAIR' ? key.slice(key.indexOf(':') + 1) : null;
}
