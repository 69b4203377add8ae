import { type Fault, HOLD_SECONDS, REVOCATION_BOUND_MS, SETTLE_SECONDS } from './fault.ts';

/** Several faults at the same time, of the same shape of a deployment. */
export function combined(faults: Fault[]): Fault {
  const most = (choose: (fault: Fault) => number) => Math.max(...faults.map(choose));
  return {
    name: faults.map(({ name }) => name).join('+'),
    does: faults.map(({ does }) => does).join('; and '),
    shape: Object.assign({}, ...faults.map(({ shape }) => shape)),
    holdSeconds: most(({ holdSeconds = HOLD_SECONDS }) => holdSeconds),
    settleSeconds: most(({ settleSeconds = SETTLE_SECONDS }) => settleSeconds),
    revocationBoundMs: most(({ revocationBoundMs = REVOCATION_BOUND_MS }) => revocationBoundMs),
    withoutPostgres: faults.flatMap(({ withoutPostgres = [] }) => withoutPostgres),
    losesCommittedData: faults.some(({ losesCommittedData }) => losesCommittedData),
    destroys: true,
    async whyNot() {
      const reasons = await Promise.all(faults.map((fault) => fault.whyNot?.()));
      return reasons.find((reason) => reason) ?? null;
    },
    inject: (context) => inTurn(faults, (fault) => fault.inject(context)),
    heal: (context) => inTurn(faults.toReversed(), (fault) => fault.heal(context)),
  };
}

async function inTurn(faults: Fault[], act: (fault: Fault) => Promise<void>): Promise<void> {
  for (const fault of faults) await act(fault);
}
