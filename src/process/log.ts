import { type DestinationStream, type Logger, pino } from 'pino';
import { conditionOf } from './condition-name.ts';

// The log of the process. src/process owns the process itself: its log, its signals, its ports and its worker
// processes. It must not contain anything about authentication.
/** The logger drops every other field, so that no secret reaches the log by mistake. */
const ALLOWED_FIELDS = new Set([
  'method',
  'code',
  'reason',
  'duration_ms',
  'max_duration_ms',
  'calls',
  'peer',
  'request_id',
  'trace_id',
  'user_id',
  'service',
  'port',
  'metrics_port',
  'admin_port',
  'health_port',
  'pid',
  'workers',
  'worker',
  'signal',
  'migrations',
  'outbox_id',
  'topic',
  'template',
  'attempt',
  'retry_ms',
  'message_id',
  'smtp_command',
  'smtp_answer',
  'audit_seq',
  'audit_hash',
  'hash_kinds',
  'timeline',
  'lost_wal_bytes',
  'clock_ahead_ms',
  'limit',
  'network',
]);

export function createLogger(level: string, destination?: DestinationStream): Logger {
  const options = {
    level,
    base: null,
    // describeError has already run; the default serializer would replace its result.
    serializers: { err: (described: unknown) => described },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }), log: allowedFields },
  };
  return destination ? pino(options, destination) : pino(options);
}

function allowedFields(fields: Record<string, unknown>): Record<string, unknown> {
  const kept = Object.entries(fields).filter(([name]) => ALLOWED_FIELDS.has(name));
  if ('err' in fields) kept.push(['err', describeError(fields.err)]);
  return Object.fromEntries(kept);
}

/**
 * Leaves out the messages of Postgres and of SMTP servers, which repeat values and addresses. Other messages are kept
 * without credentials.
 */
function describeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error };
  const { code, constraint, severity, response, responseCode } = error as unknown as Record<string, unknown>;
  const condition = conditionOf(error);
  const repeatsValues = severity !== undefined || response !== undefined;
  return {
    type: error.name,
    ...(code !== undefined && { code: String(code) }),
    ...(condition !== null && { condition }),
    ...(constraint !== undefined && { constraint: String(constraint) }),
    ...(error.cause !== undefined && { cause: describeError(error.cause) }),
    ...(responseCode !== undefined && { response_code: String(responseCode) }),
    ...(!repeatsValues && { message: withoutCredentials(error.message) }),
    stack: error.stack
      ?.split('\n')
      .filter((line) => /^\s+at /.test(line))
      .slice(0, 8)
      .join('\n'),
  };
}

function withoutCredentials(text: string): string {
  const hidden = text.replace(/\/\/[^/@\s]*@/g, '//***@').replace(/(password=)[^&\s]*/g, '$1***');
  return hidden.slice(0, 300);
}
