// The harness checks itself: each sabotage must make a row fail.
import type { Fault } from './fault.ts';
import { createFaultRunner } from './run-faults.ts';
import { SABOTAGES, type Sabotage, whyUnnoticed } from './sabotages.ts';

const HOLD_SECONDS = 3;

/** A row in which some sabotages are committed and nothing else happens. */
export function sabotaged(name: string, sabotages: Sabotage[]): Fault {
  return {
    name,
    does: sabotages.map((sabotage) => sabotage.name).join('; '),
    holdSeconds: HOLD_SECONDS,
    // Effects that a sabotage has lost never arrive.
    settleSeconds: 15,
    inject: async (context) => {
      for (const { commit } of sabotages) await commit(context);
    },
    heal: async () => {},
    destroys: true,
  };
}

/** Runs each sabotage in a row of its own, after a row without one. Returns a sentence for each that stayed undetected. */
export async function runSelfTest(report: (sentence: string) => void): Promise<string[]> {
  const runner = createFaultRunner();
  const unnoticed: string[] = [];
  try {
    const healthy = await runner.run(sabotaged('nothing', []));
    if (!healthy.isClean) unnoticed.push(`a row without a fault is not clean: ${JSON.stringify(healthy)}`);
    for (const sabotage of SABOTAGES) {
      const why = whyUnnoticed(await runner.run(sabotaged('sabotage', [sabotage])), sabotage);
      report(why ?? `found: ${sabotage.name}`);
      if (why) unnoticed.push(why);
    }
    return unnoticed;
  } finally {
    await runner.stop();
  }
}
