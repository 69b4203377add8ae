// Instruments of the work that the service does: calls, limits, jobs.
import {
  ATTR_ERROR_TYPE,
  ATTR_RPC_METHOD,
  ATTR_RPC_STATUS_CODE,
  ATTR_RPC_SYSTEM_NAME,
  METRIC_RPC_SERVER_CALL_DURATION,
} from '@opentelemetry/semantic-conventions';
import type { Instrument } from './instrument.ts';

/**
 * In seconds: the buckets of the conventions, and smaller ones that separate calls from memory and calls to Postgres.
 */
const CALL_BUCKETS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
];
const METHOD = 'the method, such as latchkey.auth.v1.AuthService/Login; _OTHER for an unknown method';
const TOPIC = 'mail or audit';

export const CALL_INSTRUMENTS = {
  calls: {
    name: METRIC_RPC_SERVER_CALL_DURATION,
    type: 'histogram',
    unit: 's',
    attributes: {
      [ATTR_RPC_SYSTEM_NAME]: 'grpc, connectrpc, or http for forward auth',
      [ATTR_RPC_METHOD]: METHOD,
      [ATTR_RPC_STATUS_CODE]: 'the status code of the response',
      [ATTR_ERROR_TYPE]: 'the status code, for errors of the server only',
    },
    description: 'Duration of calls.',
    buckets: CALL_BUCKETS,
  },
  rejections: {
    name: 'latchkey.call.rejections',
    type: 'counter',
    unit: '{call}',
    attributes: { [ATTR_RPC_METHOD]: METHOD, reason: 'the error reason' },
    description: 'Rejected and denied calls by error reason.',
  },
  limits: {
    name: 'latchkey.limit.decisions',
    type: 'counter',
    unit: '{attempt}',
    attributes: {
      limit: 'the name of the limit',
      outcome: 'allowed, rejected, or exceeded for a budget',
      store: 'redis, or process while Redis does not answer',
    },
    description: 'Attempts that rate limits have counted.',
  },
  limitsNear: {
    name: 'latchkey.limit.near',
    type: 'counter',
    unit: '{network}',
    attributes: { limit: 'the name of a limit by network' },
    description:
      'Networks that have made three quarters of the attempts that a limit allows. A proxy or a back end that does not name its clients looks like one network.',
  },
  jobs: {
    name: 'latchkey.jobs',
    type: 'counter',
    unit: '{attempt}',
    attributes: { topic: TOPIC, outcome: 'done, failed or dead' },
    description: 'Attempts to deliver an e-mail or to record an audit event.',
  },
  housekeepingRuns: {
    name: 'latchkey.housekeeping.runs',
    type: 'counter',
    unit: '{run}',
    attributes: { task: 'the name of the task', outcome: 'done or failed' },
    description: 'Runs of housekeeping tasks.',
  },
  housekeepingRows: {
    name: 'latchkey.housekeeping.removed',
    type: 'counter',
    unit: '{row}',
    attributes: { task: 'the name of the task' },
    description: 'Rows that housekeeping has removed or, for signing keys, changed.',
  },
} as const satisfies Record<string, Instrument>;
