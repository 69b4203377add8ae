import type { Deps } from '../deps.ts';
import { accountHash } from '../domain/account-hash.ts';
import { type Actor, actorName, requireReauthentication } from '../domain/actor.ts';
import { parseReason } from '../domain/admin-reason.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit, type Effect } from '../domain/effect.ts';
import { invalid, parseFields } from '../domain/parse-fields.ts';
import { USER_ROLE } from '../domain/role.ts';
import type { Authority } from '../store/authority.ts';
import type { ImportResult, UserToImport } from '../store/user-import.ts';
import { assertMayGrantAll } from './create-user.ts';
import { type ImportedUser, type InvalidRow, parseImportedUser, type RowDeps } from './imported-user.ts';
import { removeRepetitions } from './repeated-rows.ts';

export type ImportUsersInput = { actor: Actor; users: ImportedUser[]; reason: string; dryRun: boolean };

/** A dry run returns an empty id for an account whose id would be new. */
type ImportedRow = { row: bigint; userId: string };
export type ImportOutcome = { imported: ImportedRow[]; existing: ImportedRow[]; bad: InvalidRow[] };

type AccountKeys = Pick<Deps['purposeKeys'], 'accountHash'>;
type ImportDeps = Pick<Deps, 'store' | 'reauthenticationSeconds'> & RowDeps & { purposeKeys: AccountKeys | null };
type Row = { row: bigint; user: UserToImport; keepsId: boolean };

const MAX_ROWS = 100;
const TAKEN = 'belongs to another account';

/** One transaction. Existing accounts stay unchanged, so a caller can repeat an import. */
export async function importUsers(
  deps: ImportDeps,
  { actor: given, users, dryRun, ...input }: ImportUsersInput,
  { origin }: Call,
): Promise<ImportOutcome> {
  const { reason } = parseFields({
    users: () => users.length > MAX_ROWS && invalid(`must be at most ${MAX_ROWS} in a message`),
    reason: () => parseReason(input.reason),
  });
  const actor = requireReauthentication(given, deps.reauthenticationSeconds);
  const bad: InvalidRow[] = [];
  const parsed = users.flatMap((user): Row[] => {
    const valid = parseImportedUser(deps, user, bad);
    return valid ? [{ row: user.row, user: valid, keepsId: user.userId !== '' }] : [];
  });
  const rows = removeRepetitions(parsed, bad);
  const results = await deps.store.userImport.importAll(
    rows.map(({ user }) => user),
    {
      ...{ actor, at: deps.now(), reason, isDryRun: dryRun },
      decide: denialOf,
      effects: (user) => effectsOf(user, { actor: actorName(actor), origin, detail: reason }, deps.purposeKeys),
    },
  );
  return outcomeOf(rows, results, { bad, dryRun });
}

/** Null when the caller may grant the roles. */
function denialOf(authority: Authority, { roles }: UserToImport): string | null {
  if (roles.length === 0) return null;
  try {
    assertMayGrantAll(authority, roles);
    return null;
  } catch (error) {
    if (!(error instanceof AuthError)) throw error;
    if (error.reason === 'ROLE_NOT_FOUND') return 'must be roles that exist: define them first';
    if (error.reason === 'TOO_MANY_ROLES') return 'must fit into an access token, with the roles that they imply';
    return 'must be roles that the caller may grant: the granter of each is required';
  }
}

function effectsOf(
  { id, email, passwordHash, disabled, roles, identities, factors }: UserToImport,
  event: { actor: string; origin: Call['origin']; detail: string },
  purposeKeys: AccountKeys | null,
): Effect[] {
  const account = purposeKeys && { account: accountHash(email, purposeKeys.accountHash) };
  const after = {
    ...{ hasPassword: passwordHash !== null, roles: [USER_ROLE, ...roles], disabled },
    providers: identities.map(({ provider }) => provider),
    factors: factors.map(({ kind }) => kind),
  };
  const granted = roles.map((role) =>
    audit({
      ...{ ...event, type: 'role_granted', userId: id, target: `role:${role}` },
      ...{ before: null, after: { role, expiresAt: null } },
    }),
  );
  return [audit({ ...event, type: 'user_imported', userId: id, ...account, before: null, after }), ...granted];
}

function outcomeOf(
  rows: Row[],
  results: Map<UserToImport, ImportResult<string>>,
  { bad, dryRun }: { bad: InvalidRow[]; dryRun: boolean },
): ImportOutcome {
  const outcome: ImportOutcome = { imported: [], existing: [], bad };
  for (const { row, user, keepsId } of rows) {
    const result = results.get(user);
    if (result?.kind === 'imported') outcome.imported.push({ row, userId: dryRun && !keepsId ? '' : user.id });
    if (result?.kind === 'existing') outcome.existing.push({ row, userId: result.userId });
    if (result?.kind === 'taken') bad.push({ row, field: result.field, description: TAKEN });
    if (result?.kind === 'denied') bad.push({ row, field: 'roles', description: result.denial });
  }
  return outcome;
}
