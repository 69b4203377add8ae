// Every fault, grouped by the part that it affects.
import { OperatorError } from '../../../src/process/operator-error.ts';
import { combined } from '../combined.ts';
import type { Fault } from '../fault.ts';
import { clockFaults } from './clocks.ts';
import { failoverFaults } from './failover.ts';
import { loadFaults } from './load.ts';
import { lockFaults } from './locks.ts';
import { networkFaults } from './network.ts';
import { poolerFaults } from './pooler.ts';
import { postgresFaults } from './postgres.ts';
import { processFaults } from './processes.ts';
import { redisFaults } from './redis.ts';
import { releaseFaults } from './releases.ts';
import { smtpFaults } from './smtp.ts';

/** Faults of one shape of a deployment stand together, so that it is kept from row to row. */
const SINGLE: Fault[] = [
  ...processFaults,
  ...networkFaults,
  ...clockFaults,
  ...lockFaults,
  ...loadFaults,
  ...smtpFaults,
  ...postgresFaults,
  ...failoverFaults,
  ...poolerFaults,
  ...redisFaults,
  ...releaseFaults,
];

const COMBINED = [
  'serve-killed+redis-flushed',
  'worker-killed+smtp-dropping',
  'postgres-crashed+redis-killed',
  'packet-loss+postgres-restarted',
];

export const FAULTS: Fault[] = [...SINGLE, ...COMBINED.map(faultNamed)];

/** @param name of one fault, or of several that are joined by `+` @throws OperatorError where there is none */
export function faultNamed(name: string): Fault {
  const faults = name.split('+').map((one) => {
    const fault = SINGLE.find((candidate) => candidate.name === one);
    if (!fault) throw new OperatorError(`there is no fault "${one}": --list shows those that there are`);
    return fault;
  });
  return faults.length === 1 ? (faults[0] as Fault) : combined(faults);
}
