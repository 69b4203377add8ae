import { type DestinationStream, type Logger, pino } from 'pino';
import { conditionOf } from './condition-name.ts';

/** The fields that a log line can have. The logger drops every other field. */
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
  'health_port',
  'pid',
  'workers',
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
]);

export function createLogger(level: string, destination?: DestinationStream): Logger {
  const options = {
    level,
    base: null,
    // describeError has done it; the default one would do it again.
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
 * An error without the values that drivers put into theirs: of a Postgres error its SQLSTATE, condition and constraint, of an SMTP
 * server's answer its code (the text repeats addresses), of any other its own code and its text without credentials.
 */
function describeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error };
  const { code, constraint, severity, response, responseCode } = error as unknown as Record<string, unknown>;
  const condition = conditionOf(error);
  const tellsValues = severity !== undefined || response !== undefined;
  return {
    type: error.name,
    ...(code !== undefined && { code: String(code) }),
    ...(condition !== null && { condition }),
    ...(constraint !== undefined && { constraint: String(constraint) }),
    ...(error.cause !== undefined && { cause: describeError(error.cause) }),
    ...(responseCode !== undefined && { response_code: String(responseCode) }),
    ...(!tellsValues && { message: withoutCredentials(error.message) }),
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
