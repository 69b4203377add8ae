// Every fault, grouped by what it befalls.
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

/** Those of one shape of a deployment stand together, so that it is kept from row to row. */
export const FAULTS: Fault[] = [
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
