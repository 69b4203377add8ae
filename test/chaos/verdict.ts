// Judges a row: the wrong responses, and the visible effects of a loss of committed data.
import { type Fault, REVOCATION_BOUND_MS } from './fault.ts';
import type { Ledger } from './ledger.ts';

/** On the clock of `performance.now()`. */
export type Interval = { from: number; until: number };

/** A revocation view is valid for five seconds, and a call may be in flight for a moment. */
const BELIEVED_MS = 5_500;

type Expected = Pick<Fault, 'revocationBoundMs' | 'withoutPostgres' | 'losesCommittedData'>;

export function wrongAnswers(ledger: Ledger, fault: Expected, inForce: Interval): string[] {
  const { revocationBoundMs = REVOCATION_BOUND_MS, withoutPostgres = [], losesCommittedData = false } = fault;
  // A logout that the failover has lost leaves its token valid.
  const late = losesCommittedData ? [] : lateVerifiers(ledger, revocationBoundMs);
  return [
    ...ledger.wrong.sentences(),
    ...(losesCommittedData ? [] : ledger.signedOut.sentences()),
    ...late,
    ...blindAcceptances(ledger, withoutPostgres, inForce),
  ];
}

function lateVerifiers({ lateAcceptances }: Ledger, boundMs: number): string[] {
  const worst = new Map<string, number>();
  for (const { verifier, afterMs } of lateAcceptances) worst.set(verifier, Math.max(afterMs, worst.get(verifier) ?? 0));
  return [...worst]
    .filter(([, afterMs]) => afterMs > boundMs)
    .map(
      ([verifier, afterMs]) => `${verifier} accepted a revoked token ${(afterMs / 1000).toFixed(1)} s after its end`,
    );
}

/** Servers that accepted a token although they had not reached Postgres for too long. */
function blindAcceptances({ acceptances }: Ledger, servers: string[], { from, until }: Interval): string[] {
  return servers.flatMap((server) => {
    const blind = acceptances.filter((one) => one.server === server && one.at > from + BELIEVED_MS && one.at < until);
    return blind.length === 0 ? [] : [`${server} accepted ${blind.length} tokens without Postgres`];
  });
}

/** For a row whose fault loses committed transactions: how clients noticed. */
export function describeLoss({ signedOut, lateAcceptances }: Ledger): string[] {
  const late = lateAcceptances.filter(({ afterMs }) => afterMs > REVOCATION_BOUND_MS);
  const revived = new Set(late.map(({ verifier }) => verifier));
  return [
    `clients noticed by: ${signedOut.sentences().join('; ') || 'no answer'}`,
    ...(revived.size === 0 ? [] : [`tokens whose logout was lost were accepted by ${[...revived].join(', ')}`]),
  ];
}
