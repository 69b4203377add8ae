import { denialOf } from '../authorization/denials.ts';
import type { RoleReader } from '../authorization/role-reads.ts';
import type { Deps } from '../deps.ts';
import type { Call } from '../domain/call.ts';
import type { Reason } from '../domain/error-reason.ts';
import { InvalidValue, parseFields } from '../domain/parse-fields.ts';
import { requiredStrength, strengthParsers } from '../domain/required-strength.ts';
import { parseRole } from '../domain/role.ts';
import { parseUuid } from '../domain/uuid.ts';
import type { Verdict } from '../verifier/engine.ts';
import { MAX_BATCH } from './batch-verify.ts';
import { answerFor, answerForUser, noStrengthParsers, type RoleAnswer } from './check-role.ts';
import { type JudgeDeps, judgeCredentials } from './judge-credentials.ts';

/** `acr` and `maxAge` as in CheckRoleInput. */
type Batch = { checks: RoleCheck[]; reader: RoleReader; acceptApiKeys: boolean; acr: string; maxAge: number };

type RoleCheck = { role: string } & ({ accessToken: string } | { userId: string });

/** Answers in the order of the checks. An invalid token is not allowed, with the reason of Verify. */
export async function batchCheckRole(
  deps: JudgeDeps & Pick<Deps, 'store' | 'denials' | 'roleReads'>,
  { checks, reader, acceptApiKeys, ...stated }: Batch,
  call: Call,
): Promise<RoleAnswer[]> {
  parseFields({ checks: () => parseCount(checks) });
  parseFields(Object.fromEntries(checks.flatMap(parsersOf)));
  const { acr, max_age: maxAge } = parseFields(strengthParsers(stated));
  const tokens = checks.flatMap((check) => ('accessToken' in check ? check.accessToken : []));
  const ids = checks.flatMap((check) => ('userId' in check ? check.userId : []));
  if (ids.length > 0) parseFields(noStrengthParsers(stated));
  const terms = { audience: '', acceptsApiKeys: acceptApiKeys, strength: requiredStrength(acr, maxAge) };
  const [verdicts, holders] = await Promise.all([
    judgeCredentials(deps, tokens, terms, call),
    deps.store.users.rolesOf([...new Set(ids)], call.signal),
  ]);
  let next = 0;
  return Promise.all(
    checks.map((check) => {
      if ('userId' in check) return answerForUser(deps, { ...check, reader }, holders.get(check.userId) ?? null, call);
      return answerForVerdict(deps, verdicts[next++] as Verdict, check.role, call);
    }),
  );
}

async function answerForVerdict(
  deps: Pick<Deps, 'denials'>,
  verdict: Verdict,
  role: string,
  call: Call,
): Promise<RoleAnswer> {
  if ('reason' in verdict) return { allowed: false, reason: verdict.reason satisfies Reason };
  const { principal } = verdict.decision;
  return answerFor(deps, principal, denialOf(principal, role), call);
}

function parsersOf(check: RoleCheck, n: number): [string, () => string][] {
  const role: [string, () => string] = [`checks[${n}].role`, () => parseRole(check.role)];
  return 'userId' in check ? [role, [`checks[${n}].user_id`, () => parseUuid(check.userId)]] : [role];
}

function parseCount(checks: RoleCheck[]): void {
  if (checks.length === 0 || checks.length > MAX_BATCH) throw new InvalidValue(`must be 1 to ${MAX_BATCH} checks`);
}
