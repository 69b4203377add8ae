import type { Deps } from '../deps.ts';
import { type Email, parseEmail } from '../domain/email.ts';
import { parseExternalId } from '../domain/external-id.ts';
import { parseFullName } from '../domain/full-name.ts';
import { InvalidValue, invalid } from '../domain/parse-fields.ts';
import { parseUuid } from '../domain/uuid.ts';
import { parseImportedHash } from '../passwords/import-hash.ts';
import type { NewIdentity } from '../store/identities.ts';
import type { UserToImport } from '../store/user-import.ts';
import { parseRoles } from './create-user.ts';
import { type FactorDeps, type ImportedFactor, parseFactors } from './imported-factor.ts';

type ImportedIdentity = { provider: string; subject: string };

export type ImportedUser = {
  /** The caller's number for the row, such as the line of a file. */
  row: bigint;
  email: string;
  /** Empty for an account without a name. */
  fullName: string;
  emailVerified: boolean;
  /** Empty for an account without a password. */
  passwordHash: string;
  /** Empty for a new id. */
  userId: string;
  /** Empty for none. */
  externalId: string;
  disabled: boolean;
  /** Null for the time of the import. */
  createdAt: Date | null;
  roles: string[];
  identities: ImportedIdentity[];
  factors: ImportedFactor[];
};

export type InvalidRow = { row: bigint; field: string; description: string };

export type RowDeps = Pick<Deps, 'now'> &
  FactorDeps & {
    /** By the name in OAUTH_PROVIDERS. */
    providers: ReadonlyMap<string, { issuer: string }>;
  };

const MAX_IDENTITIES = 20;
const SUBJECT = /^[\x20-\x7e]{1,255}$/;

/** Null for an invalid row, of which each invalid field is added to `bad`. */
export function parseImportedUser(deps: RowDeps, user: ImportedUser, bad: InvalidRow[]): UserToImport | null {
  const before = bad.length;
  const take = <T>(field: string, fallback: T, parse: () => T): T => {
    try {
      return parse();
    } catch (error) {
      if (!(error instanceof InvalidValue)) throw error;
      bad.push({ row: user.row, field, description: error.message });
      return fallback;
    }
  };
  const id = take('user_id', '', () => (user.userId === '' ? deps.newId() : parseUuid(user.userId)));
  const parsed: UserToImport = {
    id,
    email: take('email', '' as Email, () => parseEmail(user.email)),
    fullName: take('full_name', '', () => (user.fullName.trim() === '' ? '' : parseFullName(user.fullName))),
    emailVerified: user.emailVerified,
    passwordHash: take('password_hash', null, () => parseImportedHash(user.passwordHash)),
    externalId: take('external_id', null, () => (user.externalId === '' ? null : parseExternalId(user.externalId))),
    disabled: user.disabled,
    createdAt: take('created_at', deps.now(), () => parseCreatedAt(user.createdAt, deps.now())),
    roles: take('roles', [], () => parseRoles(user.roles)),
    identities: take('identities', [], () => parseIdentities(deps, user.identities)),
    factors: take('factors', [], () => parseFactors(deps, user.factors, id)),
  };
  return bad.length === before ? parsed : null;
}

function parseCreatedAt(given: Date | null, now: Date): Date {
  if (given === null) return now;
  const isTime = given.getTime() > 0 && given <= now;
  return isTime ? given : invalid('must be a time between 1970 and now');
}

function parseIdentities({ providers, newId }: RowDeps, given: ImportedIdentity[]): NewIdentity[] {
  if (given.length > MAX_IDENTITIES) invalid(`must be at most ${MAX_IDENTITIES}`);
  const identities = given.map(({ provider, subject }) => {
    const issuer = providers.get(provider)?.issuer;
    if (issuer === undefined) return invalid('must have the name of a provider in OAUTH_PROVIDERS');
    if (!SUBJECT.test(subject))
      invalid("must have a subject of 1 to 255 ASCII characters: the provider's id of the user");
    return { id: newId(), provider, issuer, subject };
  });
  const keys = new Set(identities.map(({ issuer, subject }) => JSON.stringify([issuer, subject])));
  return keys.size === identities.length ? identities : invalid('must differ from each other');
}
