import type { Deps } from '../deps.ts';
import { accountHash } from '../domain/account-hash.ts';
import { type Actor, actorName, requireReauthentication } from '../domain/actor.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { parseEmail } from '../domain/email.ts';
import { parseFullName } from '../domain/full-name.ts';
import { InvalidValue, invalid, parseFields } from '../domain/parse-fields.ts';
import { USER_ROLE } from '../domain/role.ts';
import { importProblem } from '../passwords/stored-hash.ts';
import type { NewUser } from '../store/users.ts';

export type ImportedUser = {
  /** The caller's number for the row, such as the line of a file. */
  row: bigint;
  email: string;
  fullName: string;
  emailVerified: boolean;
  /** Empty for an account without a password. */
  passwordHash: string;
};

type InvalidRow = { row: bigint; field: string; description: string };

export type ImportOutcome = {
  imported: bigint[];
  existing: bigint[];
  bad: InvalidRow[];
};

const MAX_ROWS = 100;

/** One transaction. Existing accounts stay unchanged, so a caller can repeat an import. */
export async function importUsers(
  deps: Pick<Deps, 'store' | 'reauthenticationSeconds' | 'now' | 'newId'> & { purposeKeys: AccountKeys | null },
  { actor, users }: { actor: Actor; users: ImportedUser[] },
  { origin }: Call,
): Promise<ImportOutcome> {
  const { store, purposeKeys, now, newId } = deps;
  parseFields({ users: () => users.length > MAX_ROWS && invalid(`must be at most ${MAX_ROWS} in a message`) });
  const bad: InvalidRow[] = [];
  const valid = users.flatMap((user) => {
    const parsed = parseRow(user, bad);
    return parsed ? [{ row: user.row, user: { id: newId(), ...parsed } }] : [];
  });
  const made = await store.users.importAll(
    valid.map(({ user }) => user),
    {
      actor: requireReauthentication(actor, deps.reauthenticationSeconds),
      at: now(),
      effect({ id, email, passwordHash }) {
        const account = purposeKeys && { account: accountHash(email, purposeKeys.accountHash) };
        const after = { hasPassword: passwordHash !== null, roles: [USER_ROLE] };
        return audit({
          type: 'user_imported',
          actor: actorName(actor),
          userId: id,
          ...account,
          origin,
          before: null,
          after,
        });
      },
    },
  );
  const isMade = ({ user }: (typeof valid)[number]) => made.has(user.id);
  return {
    imported: valid.filter(isMade).map(({ row }) => row),
    existing: valid.filter((one) => !isMade(one)).map(({ row }) => row),
    bad,
  };
}

type AccountKeys = Pick<Deps['purposeKeys'], 'accountHash'>;

function parseRow(
  { row, ...user }: ImportedUser,
  bad: InvalidRow[],
): (Omit<NewUser, 'id'> & { emailVerified: boolean }) | null {
  const before = bad.length;
  const take = <T>(field: string, parse: () => T): T | null => {
    try {
      return parse();
    } catch (error) {
      if (!(error instanceof InvalidValue)) throw error;
      bad.push({ row, field, description: error.message });
      return null;
    }
  };
  const email = take('email', () => parseEmail(user.email));
  const fullName = take('full_name', () => parseFullName(user.fullName));
  const passwordHash = take('password_hash', () => parseHash(user.passwordHash));
  if (bad.length > before || email === null || fullName === null) return null;
  return { email, fullName, passwordHash, emailVerified: user.emailVerified };
}

function parseHash(text: string): string | null {
  if (text === '') return null;
  const problem = importProblem(text);
  return problem === null ? text : invalid(problem);
}
