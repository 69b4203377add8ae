// Which answers of a row were wrong, and what a loss of committed data looked like from outside.
import type { Fault } from './fault.ts';
import type { Ledger } from './ledger.ts';

/** On the clock of `performance.now()`. */
export type Interval = { from: number; until: number };

const REVOCATION_BOUND_MS = 1_000;
/** Knowledge of revocations is believed for five seconds, and a call is under way for a moment. */
const BELIEVED_MS = 5_500;

type Expected = Pick<Fault, 'revocationBoundMs' | 'withoutPostgres' | 'losesCommittedData'>;

export function wrongAnswers(ledger: Ledger, fault: Expected, inForce: Interval): string[] {
  const { revocationBoundMs = REVOCATION_BOUND_MS, withoutPostgres = [], losesCommittedData = false } = fault;
  // A logout that the failover has lost leaves its token valid.
  const late = losesCommittedData ? [] : lateVerifiers(ledger, revocationBoundMs);
  return [
    ...counted(ledger.wrong),
    ...(losesCommittedData ? [] : counted(ledger.signedOut)),
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

/** For a row whose fault loses committed transactions: what was lost and how clients noticed. */
export function describeLoss(lost: string[], { signedOut, lateAcceptances }: Ledger): string[] {
  const revived = new Set(
    lateAcceptances.filter(({ afterMs }) => afterMs > REVOCATION_BOUND_MS).map(({ verifier }) => verifier),
  );
  return [
    `lost: ${tally(lost) || 'nothing'}`,
    `clients noticed by: ${counted(signedOut).join('; ') || 'no answer'}`,
    ...(revived.size === 0 ? [] : [`tokens whose logout was lost were accepted by ${[...revived].join(', ')}`]),
  ];
}

function counted(sentences: Map<string, number>): string[] {
  return [...sentences].map(([sentence, count]) => (count === 1 ? sentence : `${sentence} (${count} times)`));
}

export function tally(sentences: string[]): string {
  const counts = new Map<string, number>();
  for (const sentence of sentences) counts.set(sentence, (counts.get(sentence) ?? 0) + 1);
  return counted(counts).join('; ');
}
