// Reads the google.rpc details of failed calls: errors of Connect and grpc-js, and the JSON of a response.
import { type DescMessage, fromBinary, type MessageShape } from '@bufbuild/protobuf';
import { base64Decode } from '@bufbuild/protobuf/wire';
import { ConnectError } from '@connectrpc/connect';
import { StatusSchema } from '../../gen/google/rpc/status_pb.ts';

type Detail = { type: string; value: Uint8Array };

const STATUS_TRAILER = 'grpc-status-details-bin';

/** The details of one type. A detail that cannot be decoded is left out. */
export function findDetails<Desc extends DescMessage>(error: unknown, desc: Desc): MessageShape<Desc>[] {
  const converted = new ConnectError('');
  converted.details.push(...(error instanceof ConnectError ? error.details : detailsIn(error)));
  return converted.findDetails(desc);
}

export function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

/**
 * A header or trailer of the response: `metadata` of an error of Connect or grpc-js, `headers` of a Response of fetch.
 * Null without it.
 */
export function headerOf(failure: unknown, name: string): unknown {
  const from = memberOf(failure, 'metadata') ?? memberOf(failure, 'headers');
  const get = memberOf(from, 'get');
  if (typeof get !== 'function') return null;
  const found: unknown = get.call(from, name);
  // grpc-js returns a list.
  return (Array.isArray(found) ? found[0] : found) ?? null;
}

function detailsIn(error: unknown): Detail[] {
  const status = headerOf(error, STATUS_TRAILER);
  if (status instanceof Uint8Array) return detailsOfStatus(status);
  const listed = memberOf(error, 'details');
  return Array.isArray(listed) ? listed.flatMap(detailOfJson) : [];
}

function detailsOfStatus(bytes: Uint8Array): Detail[] {
  try {
    const { details } = fromBinary(StatusSchema, bytes);
    return details.map(({ typeUrl, value }) => ({ type: typeUrl.slice(typeUrl.lastIndexOf('/') + 1), value }));
  } catch {
    return [];
  }
}

/** Connect writes a detail as its type's name and base64. */
function detailOfJson(detail: unknown): Detail[] {
  const [type, value] = [memberOf(detail, 'type'), memberOf(detail, 'value')];
  if (typeof type !== 'string' || typeof value !== 'string') return [];
  try {
    return [{ type, value: base64Decode(value) }];
  } catch {
    return [];
  }
}
