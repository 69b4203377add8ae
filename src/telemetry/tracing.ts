// Creates spans for calls and their parts. A span has names and times and never arguments, which can be tokens or
// passwords.
import {
  type Context,
  context,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import {
  ATTR_CLIENT_ADDRESS,
  ATTR_DB_QUERY_TEXT,
  ATTR_DB_SYSTEM_NAME,
  ATTR_ERROR_TYPE,
  ATTR_RPC_METHOD,
  ATTR_RPC_STATUS_CODE,
  ATTR_RPC_SYSTEM_NAME,
  DB_SYSTEM_NAME_VALUE_POSTGRESQL,
} from '@opentelemetry/semantic-conventions';
import { withLogSpan } from '../process/log-context.ts';
import type { EndedCall } from './metrics.ts';
import { type RpcSystem, statusCode } from './rpc-conventions.ts';

/** Returns an empty text for a missing header, null for a repeated one. */
export type ReadHeader = (name: string) => string | null;

/** For log lines. */
type SpanFields = { trace_id?: string; span_id?: string };

export type CallSpan = {
  /** Empty when this call is not sampled. */
  fields: SpanFields;
  /** Runs a function whose spans become parts of this call. */
  run<T>(serve: () => T): T;
  end(call: EndedCall): void;
};

export type Tracing = {
  begin(method: string, system: RpcSystem, header: ReadHeader): CallSpan;
  /** Records the span of a call that has ended. @param startedAt performance.now() */
  record(call: EndedCall, startedAt: number, header: ReadHeader): SpanFields;
  /** Returns a copy whose asynchronous methods each run in a span, such as `limiter take`. */
  traced<T extends object>(name: string, parts: T): T;
  /** Records a statement that has ended, if it belongs to a call or a job. */
  query(sql: string, durationMs: number, hasFailed: boolean): void;
};

/** Headers with free text of callers, which collectors must not receive. */
const FREE_TEXT = new Set(['tracestate', 'baggage']);
const HEADERS = {
  keys: () => [],
  get: (header: ReadHeader, name: string) => (FREE_TEXT.has(name) ? undefined : header(name) || undefined),
};

export function createTracing(tracer: Tracer): Tracing {
  const start = (method: string, system: RpcSystem, header: ReadHeader, startTime?: number): [Span, Context] => {
    const parent = propagation.extract(context.active(), header, HEADERS);
    const attributes = { [ATTR_RPC_SYSTEM_NAME]: system, [ATTR_RPC_METHOD]: method || '_OTHER' };
    const options = { kind: SpanKind.SERVER, attributes, ...(startTime !== undefined && { startTime }) };
    const span = tracer.startSpan(method || system, options, parent);
    return [span, trace.setSpan(parent, span)];
  };

  return {
    begin(method, system, header) {
      const [span, within] = start(method, system, header);
      return {
        fields: fieldsOf(span),
        run: (serve) => context.with(within, serve),
        end: (call) => endCall(span, call),
      };
    },

    record(call, startedAt, header) {
      const [span] = start(call.method, call.system, header, startedAt);
      const fields = fieldsOf(span);
      if (span.isRecording()) endCall(span, call);
      return fields;
    },

    traced(name, parts) {
      const wrap = ([method, run]: [string, unknown]) => [
        method,
        typeof run === 'function' ? inSpan(tracer, `${name} ${method}`, run as Run) : run,
      ];
      return Object.fromEntries(Object.entries(parts).map(wrap));
    },

    query(sql, durationMs, hasFailed) {
      if (!trace.getActiveSpan()?.isRecording()) return;
      const end = performance.now();
      const attributes = { [ATTR_DB_SYSTEM_NAME]: DB_SYSTEM_NAME_VALUE_POSTGRESQL, [ATTR_DB_QUERY_TEXT]: sql };
      const [, verb = 'postgresql'] = /^\s*(\w+)/.exec(sql) ?? [];
      const options = { kind: SpanKind.CLIENT, attributes, startTime: end - durationMs };
      const span = tracer.startSpan(verb.toUpperCase(), options);
      if (hasFailed) span.setStatus({ code: SpanStatusCode.ERROR });
      span.end(end);
    },
  };
}

type Run = (...input: unknown[]) => unknown;

function inSpan(tracer: Tracer, name: string, run: Run): Run {
  return (...input) =>
    tracer.startActiveSpan(name, (span) => {
      const result = withLogSpan(fieldsOf(span), () => run(...input));
      // A span that never ends is never sent, so a synchronous method leaves none.
      if (!(result instanceof Promise)) return result;
      return result.then(
        (value) => {
          span.end();
          return value;
        },
        (error: Error) => {
          span.setStatus({ code: SpanStatusCode.ERROR }).setAttribute(ATTR_ERROR_TYPE, error.name).end();
          throw error;
        },
      );
    });
}

function fieldsOf(span: Span): SpanFields {
  if (!span.isRecording()) return {};
  const { traceId, spanId } = span.spanContext();
  return { trace_id: traceId, span_id: spanId };
}

function endCall(span: Span, { system, code, reason, origin }: EndedCall): void {
  if (origin && span.isRecording()) {
    const { address, requestId } = origin();
    if (address !== '') span.setAttribute(ATTR_CLIENT_ADDRESS, address);
    if (requestId !== '') span.setAttribute('latchkey.request_id', requestId);
  }
  const { status, isServerError } = statusCode(system, code);
  span.setAttribute(ATTR_RPC_STATUS_CODE, status);
  if (reason !== '') span.setAttribute('latchkey.reason', reason);
  if (isServerError) span.setAttribute(ATTR_ERROR_TYPE, status).setStatus({ code: SpanStatusCode.ERROR });
  span.end();
}

export const UNTRACED: Pick<Tracing, 'traced'> = { traced: (_, parts) => parts };
