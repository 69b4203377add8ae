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

/** The headers of a client's request that decide something, or name the request and its client in a log line. */
export const READ_HEADERS: ReadonlySet<string> = new Set([
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

/** Keeps the headers that are read. */
function createCheckHeaders(): CheckHeaders & { add(key: string, value: string): void } {
  const found = new Map<string, string[]>();
  return {
    add(key, value) {
      const name = key.toLowerCase();
      if (!READ_HEADERS.has(name) || (value === '' && name !== 'authorization')) return;
      const values = found.get(name);
      if (values) values.push(value);
      else found.set(name, [value]);
    },
    all: (name) => found.get(name) ?? [],
    first: (name) => found.get(name)?.[0] ?? '',
  };
}
