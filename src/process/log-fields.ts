// The vocabulary of the log: the only fields that a line can carry. docs/reference/logs.md is generated from it.
//
// A field that OpenTelemetry has as an attribute takes the attribute's name, with `_` in place of `.`, as Prometheus and
// Loki write it. `method`, `code` and `reason` are Latchkey's own, because they also describe endpoints that are no RPC.

type FieldType = 'text' | 'number' | 'texts';

export type LogField = {
  type: FieldType;
  meaning: string;
  /** The attribute of OpenTelemetry with the same meaning. */
  attribute?: string;
};

export const LOG_FIELD_GROUPS = {
  'Calls and jobs': {
    method: {
      type: 'text',
      meaning: 'The RPC, such as `latchkey.auth.v1.AuthService/Login`, or the endpoint, such as `forward-auth`.',
      attribute: 'rpc.method',
    },
    code: {
      type: 'text',
      meaning: 'The result as a gRPC code, such as `unauthenticated`; `canceled` when the client left before it.',
      attribute: 'rpc.response.status_code',
    },
    reason: { type: 'text', meaning: 'The reason of a rejection, as in the error that the caller receives.' },
    reason_detail: {
      type: 'text',
      meaning:
        'The cause, where one reason covers several: of a failed sign-in, as the audit event has it; of a token from an e-mail, `expired`, `used`, `replaced` or `unknown`; of an API key, `expired`, `revoked`, `disabled` or `unknown`; of an access token, `issued in the future` (a clock is wrong), `unknown key`, `other issuer`, `wrong signature` or `malformed`. The caller does not receive it.',
    },
    limit: { type: 'text', meaning: 'The rate limit that a rejection counted against, or that a network approaches.' },
    duration_ms: { type: 'number', meaning: 'The time from the request to the response; on a line of sums, the mean.' },
    max_duration_ms: { type: 'number', meaning: 'The longest of several calls.' },
    hash_wait_ms: { type: 'number', meaning: 'The time that password hashes of the call waited for a free core.' },
    calls: { type: 'number', meaning: 'The number of calls that a line of sums counts.' },
    request_id: { type: 'text', meaning: 'The `x-request-id` of the call, which its error and audit events have too.' },
    trace_id: { type: 'text', meaning: 'The trace of a call or job that is sampled.', attribute: 'trace_id' },
    span_id: { type: 'text', meaning: 'The span of the trace.', attribute: 'span_id' },
    client_address: {
      type: 'text',
      meaning: 'The address of the client, behind the proxies of `TRUSTED_PROXIES`.',
      attribute: 'client.address',
    },
    network: { type: 'text', meaning: 'The network of a client.' },
    user_id: { type: 'text', meaning: 'The user, once it is identified.', attribute: 'user.id' },
    session_id: { type: 'text', meaning: 'The session, once it is identified.', attribute: 'session.id' },
    service: { type: 'text', meaning: 'The name of the service that calls.' },
    service_key: {
      type: 'text',
      meaning:
        'The key of that service: the ID of an API key, or the fingerprint of a key of `SERVICE_KEYS` (the first 8 digits of its SHA-256).',
    },
    certificate_name: {
      type: 'text',
      meaning:
        'The name in a valid client certificate that `TLS_CLIENT_SERVICES` does not list, so that it identifies no service.',
    },
  },
  'Jobs and mail': {
    outbox_id: { type: 'text', meaning: 'The entry of the outbox.' },
    topic: { type: 'text', meaning: 'The kind of an outbox entry: `mail` or `audit`.' },
    template: { type: 'text', meaning: 'The template of an e-mail.' },
    attempt: { type: 'number', meaning: 'The number of the attempt, from 1.' },
    events: { type: 'number', meaning: 'The number of audit events.' },
    retry_ms: { type: 'number', meaning: 'The time until the next attempt.' },
    message_id: { type: 'text', meaning: 'The Message-ID of an e-mail.' },
    smtp_command: { type: 'text', meaning: 'The SMTP command that failed.' },
    smtp_answer: { type: 'text', meaning: 'The response of the mail server, without addresses.' },
    audit_seq: { type: 'text', meaning: 'The sequence number of the last audit event.' },
    audit_hash: { type: 'text', meaning: 'The hash of the last audit event.' },
  },
  'The process': {
    service_version: { type: 'text', meaning: 'The version of Latchkey.', attribute: 'service.version' },
    commit: {
      type: 'text',
      meaning: 'The commit of this build, or `unknown`.',
      attribute: 'vcs.ref.head.revision',
    },
    node_version: { type: 'text', meaning: 'The version of Node.', attribute: 'process.runtime.version' },
    port: { type: 'number', meaning: 'The port of the API.' },
    admin_port: { type: 'number', meaning: 'The port of `LISTEN_ADMIN`.' },
    metrics_port: { type: 'number', meaning: 'The port of `/metrics`.' },
    health_port: { type: 'number', meaning: 'The port of the probes of a worker.' },
    workers: { type: 'number', meaning: 'The number of API processes.' },
    worker: { type: 'number', meaning: 'The number of a worker of `serve --workers`, from 0.' },
    pid: { type: 'number', meaning: 'The worker process that a line is about.', attribute: 'process.pid' },
    exit_code: { type: 'text', meaning: 'The exit code or signal of that process.', attribute: 'process.exit.code' },
    signal: { type: 'text', meaning: 'The signal that requested the stop.' },
    problems: { type: 'texts', meaning: 'Faults that an operator must correct, one sentence each.' },
    migrations: { type: 'texts', meaning: 'The migrations that were applied, or that a newer release has applied.' },
    hash_kinds: { type: 'text', meaning: 'Kinds of password hashes.' },
    timeline: { type: 'number', meaning: 'The timeline of the new Postgres primary.' },
    lost_wal_bytes: { type: 'number', meaning: 'The bytes of WAL that the new primary lacks.' },
    clock_ahead_ms: { type: 'number', meaning: 'The time by which the clock of this machine is ahead of Postgres.' },
  },
} as const satisfies Record<string, Record<string, LogField>>;

type Groups = typeof LOG_FIELD_GROUPS;
type TableOf<G> = G extends Record<string, LogField> ? (fields: G) => void : never;
type Table = TableOf<Groups[keyof Groups]> extends (fields: infer All) => void ? All : never;
type Values = { text: string; number: number; texts: readonly string[] };

/** The fields of one line, apart from `err`. */
export type LogFields = {
  -readonly [name in keyof Table]?: Table[name] extends { type: infer T extends FieldType }
    ? Values[T] | undefined
    : never;
};

/** The parts of `err`. */
export const ERROR_FIELDS: Record<string, LogField> = {
  type: { type: 'text', meaning: 'The class of the error.', attribute: 'exception.type' },
  message: {
    type: 'text',
    meaning: 'Its message. Messages of Postgres and of mail servers are left out, because they repeat values.',
    attribute: 'exception.message',
  },
  code: {
    type: 'text',
    meaning: 'The code of the system or of Node, such as `ECONNREFUSED`, or the SQLSTATE of Postgres.',
    attribute: 'db.response.status_code',
  },
  condition: { type: 'text', meaning: 'The condition of Postgres, such as `read_only_sql_transaction`.' },
  constraint: { type: 'text', meaning: 'The constraint of Postgres.' },
  response_code: { type: 'text', meaning: 'The code of the mail server, such as `550`.' },
  cause: { type: 'text', meaning: 'The error that led to it, with the same parts.' },
  stack: { type: 'text', meaning: 'Where it was thrown: the first 8 places.', attribute: 'exception.stacktrace' },
};

const FIELDS: ReadonlyMap<string, LogField> = new Map(
  Object.values(LOG_FIELD_GROUPS).flatMap((group) => Object.entries<LogField>(group)),
);

export function isLogField(name: string): boolean {
  return FIELDS.has(name);
}
