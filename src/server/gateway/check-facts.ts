// The part of Envoy's CheckRequest that decides something. The fast path reads the same facts from the bytes.
import type { CheckRequest } from '../../../gen/envoy/service/auth/v3/external_auth_pb.ts';

export type CheckFacts = {
  method: string;
  /** With the query. */
  path: string;
  host: string;
  /** Envoy's id of the request. Empty from a gRPC server, which asks about its own calls. */
  streamId: string;
  /** The address of the gateway's peer. */
  peer: string;
  contextExtensions: Record<string, string>;
  headers: CheckHeaders;
};

export type CheckHeaders = { all(name: string): string[]; first(name: string): string };

const READ = new Set([
  ...['authorization', 'content-type', 'connect-protocol-version', ':authority', 'host'],
  ...['x-request-id', 'x-forwarded-for', 'user-agent', 'origin', 'access-control-request-method'],
  ...['cookie', 'accept', 'sec-fetch-mode', 'sec-fetch-site', 'upgrade', 'x-requested-with'],
  'sec-websocket-key',
]);

export function factsOf({ attributes }: CheckRequest): CheckFacts {
  const http = attributes?.request?.http;
  const source = attributes?.source?.address?.address;
  const headers = createCheckHeaders();
  for (const [key, value] of Object.entries(http?.headers ?? {})) headers.add(key, value);
  // Envoy uses the second form with `encode_raw_headers`, and gRPC always.
  for (const { key, value, rawValue } of http?.headerMap?.headers ?? []) {
    if (value !== '') headers.add(key, value);
    if (rawValue.length > 0) headers.add(key, Buffer.from(rawValue).toString());
  }
  return {
    method: http?.method ?? '',
    path: http?.path ?? '',
    host: http?.host ?? '',
    streamId: http?.id ?? '',
    peer: source?.case === 'socketAddress' ? source.value.address : '',
    contextExtensions: attributes?.contextExtensions ?? {},
    headers,
  };
}

/** Whether a header of this name decides something. @returns its name in lower case, or null */
export function nameOfRead(key: string): string | null {
  if (READ.has(key)) return key;
  const name = key.toLowerCase();
  return READ.has(name) ? name : null;
}

/** Keeps the headers that decide something. */
export function createCheckHeaders(): CheckHeaders & { add(key: string, value: string): void } {
  const found = new Map<string, string[]>();
  return {
    add(key, value) {
      const name = nameOfRead(key);
      if (name === null || (value === '' && name !== 'authorization')) return;
      const values = found.get(name);
      if (values) values.push(value);
      else found.set(name, [value]);
    },
    all: (name) => found.get(name) ?? [],
    first: (name) => found.get(name)?.[0] ?? '',
  };
}
