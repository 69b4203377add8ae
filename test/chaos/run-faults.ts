// Runs rows one after the other. A deployment is kept for the next row while its shape fits and no row has damaged it.
import { isDeepStrictEqual } from 'node:util';
import { type Deployment, startDeployment } from './deployment.ts';
import { type Fault, shapeOf } from './fault.ts';
import { failedRow, type Row, runRow, skippedRow } from './row.ts';

const ROW_TIMEOUT_MS = 10 * 60_000;

export type FaultRunner = {
  run(fault: Fault, holdSeconds?: number): Promise<Row>;
  stop(): Promise<void>;
};

export function createFaultRunner(): FaultRunner {
  let deployment: Deployment | null = null;

  async function stop(): Promise<void> {
    const former = deployment;
    deployment = null;
    await former?.stop();
  }

  async function deploymentFor(fault: Fault): Promise<Deployment> {
    const shape = shapeOf(fault);
    if (deployment && isDeepStrictEqual(deployment.shape, shape)) return deployment;
    await stop();
    deployment = await startDeployment(shape);
    return deployment;
  }

  return {
    stop,
    async run(fault, holdSeconds) {
      const reason = await fault.whyNot?.();
      if (reason) return skippedRow(fault, reason);
      try {
        const row = await inTime(deploymentFor(fault).then((one) => runRow(fault, one, holdSeconds)));
        if (!row.isIntact) await stop();
        return row;
      } catch (error) {
        await stop();
        return failedRow(fault, error);
      }
    },
  };
}

/** A row that hangs must not block the others. */
async function inTime<T>(row: Promise<T>): Promise<T> {
  const tooLate = Promise.withResolvers<never>();
  const timer = setTimeout(() => tooLate.reject(new Error('it took too long')), ROW_TIMEOUT_MS);
  row.catch(() => {});
  return Promise.race([row, tooLate.promise]).finally(() => clearTimeout(timer));
}
