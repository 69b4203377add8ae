// The accounts of a file: its entries, read by the format, changed by the mapping, each value once.
import type { ImportedUser } from '../../admin/imported-user.ts';
import { parseEmail } from '../../domain/email.ts';
import { InvalidValue } from '../../domain/parse-fields.ts';
import type { Entry } from './entries.ts';
import type { FormatReader, ReadContext } from './format-reader.ts';
import { asObject } from './json-value.ts';
import { type Mapping, mappedMembers } from './mapping.ts';
import { type Problem, toImportedUser } from './members.ts';
import { createSeenValues } from './seen-values.ts';

export type Account = { line: number; entry: number } & ({ user: ImportedUser } | { problems: Problem[] });

export type AccountOptions = ReadContext & {
  read: FormatReader;
  mapping: Mapping;
  /** The names of the identity providers here. */
  providers: ReadonlySet<string>;
};

type User = Omit<ImportedUser, 'row'>;

/** Other systems' names of the providers that most deployments have. */
const PROVIDERS = new Map([
  ['google.com', 'google'],
  ['google-oauth2', 'google'],
  ['github.com', 'github'],
]);

export async function* readAccounts(entries: AsyncIterable<Entry>, options: AccountOptions): AsyncGenerator<Account> {
  const repetitionsOf = createRepetitions();
  let entry = 0;
  for await (const found of entries) {
    entry += 1;
    const place = { line: found.line, entry };
    if ('problem' in found) yield { ...place, problems: [{ field: '', problem: found.problem }] };
    else {
      const account = readEntry(found.value, options);
      if (!account) continue;
      const problems = [...account.problems, ...(account.user ? repetitionsOf(account.user, found.line) : [])];
      if (account.user && problems.length === 0) yield { ...place, user: { row: BigInt(entry), ...account.user } };
      else yield { ...place, problems };
    }
  }
}

/** Null for an entry that is no account. */
function readEntry(value: unknown, options: AccountOptions): { user: User | null; problems: Problem[] } | null {
  const entry = asObject(value);
  if (!entry)
    return { user: null, problems: [{ field: '', problem: 'must be an object with the members of an account' }] };
  try {
    const read = options.read(entry, options);
    if (!read) return null;
    const problems = [...(read.problems ?? [])];
    const mapped = mappedMembers(options.mapping, entry);
    const user = toImportedUser({ ...read.members, ...mapped }, problems);
    return { user: translated(user, options, read.isForeign), problems };
  } catch (error) {
    if (!(error instanceof InvalidValue)) throw error;
    return { user: null, problems: [{ field: '', problem: error.message }] };
  }
}

function translated(user: User, { mapping, providers, note }: AccountOptions, isForeign: boolean): User {
  const roles = user.roles.flatMap((role) => {
    const name = mapping.roles.get(role) ?? (isForeign ? '' : role);
    if (name === '') note(`role ${role}`);
    return name === '' ? [] : [name];
  });
  const identities = user.identities.flatMap(({ provider: theirs, subject }) => {
    const provider = mapping.providers.get(theirs) ?? PROVIDERS.get(theirs) ?? theirs;
    if (!isForeign || providers.has(provider)) return [{ provider, subject }];
    note(`identities of ${theirs}`);
    return [];
  });
  return { ...user, roles: [...new Set(roles)], identities };
}

function createRepetitions(): (user: User, line: number) => Problem[] {
  const seen = createSeenValues();
  return ({ email, userId, externalId }, line) => {
    const values = { email: canonical(email), id: userId, external_id: externalId };
    return Object.entries(values).flatMap(([field, value]) => {
      const before = value === '' ? null : seen(`${field} ${value}`, line);
      return before === null ? [] : [{ field, problem: `is the same as in line ${before}: an account needs its own` }];
    });
  };
}

/** Empty for an invalid address, which the import itself rejects. */
function canonical(email: string): string {
  try {
    return parseEmail(email);
  } catch {
    return '';
  }
}
