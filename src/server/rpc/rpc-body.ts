// The body of an RPC. Connect receives only whole messages that are cheap to decode: in the form of their protocol, and
// within the limits of the method.
import { setTimeout as sleep } from 'node:timers/promises';
import type { DescMethod } from '@bufbuild/protobuf';
import { Access } from '../../../gen/latchkey/auth/v1/options_pb.ts';
import { AuthError } from '../../domain/auth-error.ts';
import type { FairSlots, SlotHolder } from '../calls/fair-slots.ts';
import { checkMessage, type MessageBounds, messageBounds } from '../calls/message-bounds.ts';
import { receiveBody } from '../calls/receive-body.ts';
import type { ServerRequest } from '../transport/server-request.ts';
import { accessOf, type ReflectionAccess } from './access.ts';

export type RpcBody = AsyncIterable<Uint8Array> & {
  /**
   * A stream of messages is read while it lasts.
   * @throws AuthError REQUEST_MALFORMED, MESSAGE_TOO_LARGE, OVERLOADED; UNIMPLEMENTED for no message and for several
   */
  receive(holder: SlotHolder, signal: AbortSignal): Promise<void>;
};

/** Flags, then the length of the message in four bytes: the form of gRPC and of Connect's streams. */
const ENVELOPE_BYTES = 5;
/** A stream of an anonymous caller delivers this many messages at once, and after that one in PACE_MS. */
const BURST = 20;
const PACE_MS = 100;

export function createRpcBody(
  request: ServerRequest,
  method: DescMethod,
  deps: ReflectionAccess & { waiting: FairSlots },
): RpcBody {
  const contentType = request.headers.get('content-type');
  const isEnveloped = /^application\/(grpc|connect\+)/.test(contentType);
  const bounds = messageBounds(method);
  const check = (message: Buffer, isJson = contentType.includes('json')) =>
    checkMessage(method.input, message, bounds.maxFields, isJson);
  let received: Buffer | null = null;

  async function receive(holder: SlotHolder, signal: AbortSignal): Promise<void> {
    const prefix = isEnveloped ? ENVELOPE_BYTES : 0;
    const options = { waiting: deps.waiting, holder, signal, maxBytes: prefix + bounds.maxBytes };
    if (!isEnveloped) {
      received = await receiveBody(request, options);
      if (request.method !== 'GET') return check(received);
      const { message, isJson } = queryMessage(request.url);
      return check(message, isJson);
    }
    const inspect = createInspector(bounds);
    received = await receiveBody(request, { ...options, inspect });
    if (received.length === 0) throw new AuthError('UNIMPLEMENTED');
    if (received.length < ENVELOPE_BYTES || received.length < lengthOf(received, bounds)) malformed();
    check(received.subarray(ENVELOPE_BYTES));
  }

  async function* messages(): AsyncIterable<Uint8Array> {
    const isPaced = accessOf(deps, method) === Access.PUBLIC;
    let count = 0;
    for await (const envelope of envelopes(request, bounds)) {
      check(envelope.subarray(ENVELOPE_BYTES));
      if (isPaced && ++count > BURST) await sleep(PACE_MS);
      yield envelope;
    }
  }

  async function* message(): AsyncIterable<Uint8Array> {
    if (received) yield received;
  }

  const takesOne = method.methodKind === 'unary' || method.methodKind === 'server_streaming';
  return {
    receive: takesOne ? receive : async () => {},
    [Symbol.asyncIterator]: () => (takesOne ? message() : messages())[Symbol.asyncIterator](),
  };
}

/** Connect serves a GET for methods with NO_SIDE_EFFECTS (Connect protocol, Unary-Get-Request). */
function queryMessage(url: string): { message: Buffer; isJson: boolean } {
  const query = new URL(url, 'http://localhost').searchParams;
  const encoding = query.get('base64') === '1' ? 'base64url' : 'utf8';
  return { message: Buffer.from(query.get('message') ?? '', encoding), isJson: query.get('encoding') === 'json' };
}

function createInspector(bounds: MessageBounds): (size: number, arrived: () => Buffer) => void {
  let expected = 0;
  return (size, arrived) => {
    if (expected === 0 && size >= ENVELOPE_BYTES) expected = lengthOf(arrived(), bounds);
    if (expected > 0 && size > expected) throw new AuthError('UNIMPLEMENTED');
  };
}

/** @throws AuthError REQUEST_MALFORMED or MESSAGE_TOO_LARGE */
function lengthOf(start: Buffer, { maxBytes }: MessageBounds): number {
  // A flag marks a compressed message, or the trailers.
  if (start[0] !== 0) malformed();
  const length = start.readUInt32BE(1);
  if (length > maxBytes) throw new AuthError('MESSAGE_TOO_LARGE');
  return ENVELOPE_BYTES + length;
}

async function* envelopes(request: ServerRequest, bounds: MessageBounds): AsyncIterable<Buffer> {
  let parts: Buffer[] = [];
  let [size, needed] = [0, ENVELOPE_BYTES];
  for await (const chunk of request.pieces()) {
    parts.push(chunk);
    size += chunk.length;
    // Joined only when an envelope can be whole: it may arrive byte by byte.
    while (size >= needed) {
      const joined = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
      needed = lengthOf(joined, bounds);
      const isWhole = size >= needed;
      if (isWhole) yield joined.subarray(0, needed);
      parts = [isWhole ? joined.subarray(needed) : joined];
      if (isWhole) [size, needed] = [size - needed, ENVELOPE_BYTES];
    }
  }
  if (size > 0) malformed();
}

function malformed(): never {
  throw new AuthError('REQUEST_MALFORMED');
}
