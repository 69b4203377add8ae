// Instruments of the state of a process: hashing, verification, outbox, workers.
import type { Instrument } from './instrument.ts';

const HASH_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const TOPIC = 'mail or audit';

export const STATE_INSTRUMENTS = {
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
    across: 'max',
    unit: 's',
    attributes: {},
    description: 'Age of the revocation view.',
  },
  viewEntries: {
    name: 'latchkey.revocation_view.entries',
    type: 'gauge',
    across: 'max',
    unit: '{entry}',
    attributes: {},
    description: 'Sessions and users in the revocation view.',
  },
  clockDifference: {
    name: 'latchkey.clock.difference',
    type: 'gauge',
    across: 'each',
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
    across: 'max',
    unit: '{file}',
    attributes: {},
    description:
      '1 while the policy file has a problem, so that the former policy stays in use. Only with POLICY_FILE.',
  },
  serviceKeyUse: {
    name: 'latchkey.service_key.last_used',
    type: 'gauge',
    across: 'max',
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
    type: 'gauge',
    across: 'max',
    unit: '{entry}',
    attributes: { topic: TOPIC, state: 'waiting or dead' },
    description: 'E-mails and audit events in the outbox.',
  },
  outboxAge: {
    name: 'latchkey.outbox.oldest.age',
    type: 'gauge',
    across: 'max',
    unit: 's',
    attributes: { topic: TOPIC },
    description: 'Age of the oldest waiting outbox entry.',
  },
  memory: {
    name: 'process.memory.usage',
    type: 'level',
    across: 'each',
    unit: 'By',
    attributes: {},
    description: 'Physical memory of the process.',
  },
  certificateRemaining: {
    name: 'latchkey.certificate.remaining',
    type: 'gauge',
    across: 'min',
    unit: 's',
    attributes: {},
    description: 'Time until the certificate of TLS_CERT_FILE expires. Only with TLS.',
  },
} as const satisfies Record<string, Instrument>;
