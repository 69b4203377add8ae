import type { Transport } from '@connectrpc/connect';

export type CallDefaults = {
  /** Deadline of a unary call that sets none, in milliseconds. Streams have none. */
  timeoutMs: number;
  /** Headers that the call does not set itself. */
  headers(): Promise<Record<string, string>>;
};

/** A call's own time-out and headers come first. */
export function withDefaults(transport: Transport, { timeoutMs: defaultTimeoutMs, headers }: CallDefaults): Transport {
  async function complete(init: Parameters<Transport['unary']>[3]): Promise<Headers> {
    const own = new Headers(init);
    for (const [name, value] of Object.entries(await headers())) if (!own.has(name)) own.set(name, value);
    return own;
  }
  return {
    async unary(method, signal, timeoutMs, header, ...rest) {
      return transport.unary(method, signal, timeoutMs ?? defaultTimeoutMs, await complete(header), ...rest);
    },
    async stream(method, signal, timeoutMs, header, ...rest) {
      return transport.stream(method, signal, timeoutMs, await complete(header), ...rest);
    },
  };
}

/** A credential, or a function that returns the present one before each call. An empty one is not sent. */
export type Credential = string | (() => string | Promise<string>);

export async function presentOf(credential: Credential): Promise<string> {
  return typeof credential === 'string' ? credential : credential();
}
