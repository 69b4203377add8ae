// Every fault, grouped by the dependency that it befalls.
import type { Fault } from '../fault.ts';
import { postgresFaults } from './postgres.ts';
import { processFaults } from './processes.ts';
import { smtpFaults } from './smtp.ts';

export const FAULTS: Fault[] = [...processFaults, ...postgresFaults, ...smtpFaults];
