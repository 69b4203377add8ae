import { denialOf } from '../authorization/denials.ts';
import type { RoleReader } from '../authorization/role-reads.ts';
import type { Deps } from '../deps.ts';
import type { Call } from '../domain/call.ts';
import type { Reason } from '../domain/error-reason.ts';
import { InvalidValue, parseFields } from '../domain/parse-fields.ts';
import { parseRole } from '../domain/role.ts';
import { parseUuid } from '../domain/uuid.ts';
import type { Verdict } from '../verifier/engine.ts';
import { MAX_BATCH } from './batch-verify.ts';
import { answerFor, answerForUser, type RoleAnswer } from './check-role.ts';
import { type JudgeDeps, judgeCredentials } from './judge-credentials.ts';

export type RoleCheck = { role: string } & ({ accessToken: string } | { userId: string });

/** Answers in the order of the checks. An invalid token is not allowed, with the reason of Verify. */
export async function batchCheckRole(
  deps: JudgeDeps & Pick<Deps, 'store' | 'denials' | 'roleReads'>,
  { checks, reader, acceptApiKeys }: { checks: RoleCheck[]; reader: RoleReader; acceptApiKeys: boolean },
  call: Call,
): Promise<RoleAnswer[]> {
  parseFields({ checks: () => parseCount(checks) });
  parseFields(Object.fromEntries(checks.flatMap(parsersOf)));
  const tokens = checks.flatMap((check) => ('accessToken' in check ? check.accessToken : []));
  const ids = checks.flatMap((check) => ('userId' in check ? check.userId : []));
  const [verdicts, holders] = await Promise.all([
    judgeCredentials(deps, tokens, { audience: '', acceptsApiKeys: acceptApiKeys }, call),
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
