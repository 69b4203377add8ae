// Every instrument of the service as data: docs/reference/metrics.md is generated from it. Names and attributes follow
// the conventions of OpenTelemetry where one exists. src/telemetry owns metrics and traces. It must not change how a
// call is answered.
import {
  ATTR_ERROR_TYPE,
  ATTR_RPC_METHOD,
  ATTR_RPC_STATUS_CODE,
  ATTR_RPC_SYSTEM_NAME,
  METRIC_RPC_SERVER_CALL_DURATION,
} from '@opentelemetry/semantic-conventions';

export type Instrument = {
  name: string;
  /** A `level` can be summed over processes, a `gauge` cannot. */
  type: 'counter' | 'histogram' | 'level' | 'gauge';
  /** A unit of UCUM, such as `s` or `{call}`. */
  unit: string;
  attributes: Record<string, string>;
  description: string;
  buckets?: readonly number[];
};

/**
 * In seconds: the buckets of the conventions, and smaller ones that separate calls from memory and calls to Postgres.
 */
const CALL_BUCKETS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
];
const HASH_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const METHOD = 'the method, such as latchkey.auth.v1.AuthService/Login; _OTHER for an unknown method';
const TOPIC = 'mail or audit';
const POOL = { 'db.client.connection.pool.name': 'calls, or changes for the revocation feed' };

export const INSTRUMENTS = {
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
  refusals: {
    name: 'latchkey.call.refusals',
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
      outcome: 'allowed, refused, or exceeded for a budget',
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
  hashDuration: {
    name: 'latchkey.hash.duration',
    type: 'histogram',
    unit: 's',
    attributes: {},
    description: 'Duration of password hashes.',
    buckets: HASH_BUCKETS,
  },
  hashWait: {
    name: 'latchkey.hash.wait.duration',
    type: 'histogram',
    unit: 's',
    attributes: {},
    description: 'Time that password hashes have waited in the queue.',
    buckets: HASH_BUCKETS,
  },
  unreadableHashes: {
    name: 'latchkey.hash.unreadable',
    type: 'counter',
    unit: '{attempt}',
    attributes: {},
    description: 'Sign-in attempts to accounts whose stored password hash is unreadable.',
  },
  breachCheckFailures: {
    name: 'latchkey.breach_check.failures',
    type: 'counter',
    unit: '{password}',
    attributes: {},
    description: 'New passwords that were not checked against breaches because a range file is unreadable.',
  },
  hashTasks: {
    name: 'latchkey.hash.tasks',
    type: 'level',
    unit: '{task}',
    attributes: { state: 'running or waiting' },
    description: 'Password hashes that run or wait.',
  },
  viewAge: {
    name: 'latchkey.revocation_view.age',
    type: 'gauge',
    unit: 's',
    attributes: {},
    description: 'Age of the revocation view.',
  },
  viewEntries: {
    name: 'latchkey.revocation_view.entries',
    type: 'level',
    unit: '{entry}',
    attributes: {},
    description: 'Sessions and users in the revocation view.',
  },
  clockDifference: {
    name: 'latchkey.clock.difference',
    type: 'gauge',
    unit: 's',
    attributes: {},
    description: 'Time by which the clock of this machine is ahead of the clock of Postgres.',
  },
  tokenCacheSize: {
    name: 'latchkey.token_cache.size',
    type: 'level',
    unit: 'By',
    attributes: {},
    description: 'Memory of the cache of verified tokens.',
  },
  policyOutdated: {
    name: 'latchkey.policy_file.outdated',
    type: 'gauge',
    unit: '1',
    attributes: {},
    description:
      '1 while the policy file has a problem, so that the former policy stays in use. Only with POLICY_FILE.',
  },
  serviceKeyUse: {
    name: 'latchkey.service_key.last_used',
    type: 'gauge',
    unit: 's',
    attributes: { service: 'a name of SERVICE_KEYS', key: 'the fingerprint of its key' },
    description:
      'Unix time at which this process last accepted the key of SERVICE_KEYS, or 0. A replaced key can go once the highest value of all processes stays the same.',
  },
  connections: {
    name: 'latchkey.connections',
    type: 'level',
    unit: '{connection}',
    attributes: {},
    description: 'Open connections of clients.',
  },
  outboxEntries: {
    name: 'latchkey.outbox.entries',
    type: 'level',
    unit: '{entry}',
    attributes: { topic: TOPIC, state: 'waiting or dead' },
    description: 'E-mails and audit events in the outbox.',
  },
  outboxAge: {
    name: 'latchkey.outbox.oldest.age',
    type: 'gauge',
    unit: 's',
    attributes: { topic: TOPIC },
    description: 'Age of the oldest waiting outbox entry.',
  },
  poolCount: {
    name: 'db.client.connection.count',
    type: 'level',
    unit: '{connection}',
    attributes: { ...POOL, 'db.client.connection.state': 'used or idle' },
    description: 'Connections to Postgres.',
  },
  poolMax: {
    name: 'db.client.connection.max',
    type: 'level',
    unit: '{connection}',
    attributes: POOL,
    description: 'Maximum number of connections to Postgres.',
  },
  poolPending: {
    name: 'db.client.connection.pending_requests',
    type: 'level',
    unit: '{request}',
    attributes: POOL,
    description: 'Requests that wait for a connection to Postgres.',
  },
  memory: {
    name: 'process.memory.usage',
    type: 'level',
    unit: 'By',
    attributes: {},
    description: 'Physical memory of the process.',
  },
} as const satisfies Record<string, Instrument>;
