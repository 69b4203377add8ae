// The fields that every line of one call or job carries. A use case adds what it learns about the call, such as the
// account, and the line of the call has it too.
import { AsyncLocalStorage } from 'node:async_hooks';
import type { LogFields } from './log-fields.ts';

type LogContext = {
  /** The fields of the whole call or job. */
  noted: LogFields;
  /** The active span. */
  span: LogFields;
};

const contexts = new AsyncLocalStorage<LogContext>();

/** @param noted receives the fields of `noteForLog` */
export function withLogContext<T>(noted: LogFields, run: () => T): T {
  return contexts.run({ noted, span: {} }, run);
}

export function withLogSpan<T>(span: LogFields, run: () => T): T {
  return contexts.run({ noted: contexts.getStore()?.noted ?? {}, span }, run);
}

/** Without effect outside a call or job. */
export function noteForLog(fields: LogFields): void {
  const noted = contexts.getStore()?.noted;
  if (noted) Object.assign(noted, fields);
}

/** Adds to the time that this call or job has spent so. */
export function addTimeForLog(field: 'hash_wait_ms', milliseconds: number): void {
  const noted = contexts.getStore()?.noted;
  if (noted) noted[field] = Math.round(((noted[field] ?? 0) + milliseconds) * 100) / 100;
}

export function fieldsOfContext(): LogFields {
  const context = contexts.getStore();
  return context ? { ...context.noted, ...context.span } : {};
}
