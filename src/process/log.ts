import { type DestinationStream, pino } from 'pino';
import { conditionOf } from './condition-name.ts';
import { fieldsOfContext } from './log-context.ts';
import { isLogField, type LogFields } from './log-fields.ts';

// The log of the process. src/process owns the process itself: its log, its signals, its ports and its worker
// processes. It must not contain anything about authentication.

export type LogLine = LogFields & { err?: unknown };
type Write = {
  (fields: LogLine, message: string): void;
  (message: string): void;
};
export type Log = { [level in 'debug' | 'info' | 'warn' | 'error' | 'fatal']: Write };

/** Nothing that Latchkey logs is longer. A longer text is that of a caller or of another server. */
const MAX_TEXT = 1_000;
const MAX_MESSAGE = 300;
const MAX_NAME = 100;
/** Also C1 controls and marks of direction, which JSON does not escape and a terminal obeys. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/gu;

/** @param onUnknownField for tests: a field that the vocabulary lacks is a defect */
export function createLogger(
  level: string,
  destination?: DestinationStream,
  onUnknownField: (name: string) => void = () => {},
): Log {
  const options = {
    level,
    base: null,
    // describeError has already run; the default serializer would replace its result.
    serializers: { err: (described: unknown) => described },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: {
      level: (label: string) => ({ level: label }),
      log: (fields: Record<string, unknown>) => lineOf(fields, onUnknownField),
    },
    // Also for lines without fields, which have no formatter.
    mixin: () => ({}),
  };
  return destination ? pino(options, destination) : pino(options);
}

/** Drops every field outside the vocabulary, so that no secret reaches the log by mistake. */
function lineOf(fields: Record<string, unknown>, onUnknownField: (name: string) => void): Record<string, unknown> {
  for (const name of Object.keys(fields)) if (!isLogField(name) && name !== 'err') onUnknownField(name);
  const all = { ...fields, ...missingIn(fields, fieldsOfContext()) };
  const kept = Object.entries(all)
    .filter(([name, value]) => isLogField(name) && value !== undefined)
    .map(([name, value]) => [name, plain(value)]);
  if ('err' in fields) kept.push(['err', describeError(fields.err)]);
  return Object.fromEntries(kept);
}

function missingIn(fields: Record<string, unknown>, ofContext: LogFields): Record<string, unknown> {
  return Object.fromEntries(Object.entries(ofContext).filter(([name]) => fields[name] === undefined));
}

function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  return typeof value === 'string' ? plainText(value, MAX_TEXT) : value;
}

function plainText(text: string, maxLength: number): string {
  return text.slice(0, maxLength).replace(UNPRINTABLE, '');
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
    type: plainText(error.name, MAX_NAME),
    ...(code !== undefined && { code: plainText(String(code), MAX_NAME) }),
    ...(condition !== null && { condition }),
    ...(constraint !== undefined && { constraint: plainText(String(constraint), MAX_NAME) }),
    ...(error.cause !== undefined && { cause: describeError(error.cause) }),
    ...(responseCode !== undefined && { response_code: plainText(String(responseCode), MAX_NAME) }),
    ...(!repeatsValues && { message: withoutCredentials(error.message) }),
    stack: placesOf(error),
  };
}

/** Without the message, which can have lines that look like places. */
function placesOf({ stack = '', message }: Error): string {
  return stack
    .slice(Math.max(0, stack.indexOf(message)) + message.length)
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .slice(0, 8)
    .map((line) => plainText(line, MAX_MESSAGE))
    .join('\n');
}

/** For a sentence that may repeat the text of a driver. */
export function plainSentence(text: string): string {
  return plainText(withoutSecrets(text), MAX_TEXT);
}

function withoutCredentials(text: string): string {
  return plainText(withoutSecrets(text), MAX_MESSAGE);
}

/** Hides secrets of URLs: a login before the host, also one with `/` or `@` that should be encoded, and parameters. */
function withoutSecrets(text: string): string {
  return text.replace(/\/\/\S*@/g, '//***@').replace(/((?:password|passwd|secret|token|key)=)[^&\s]*/gi, '$1***');
}
