// Messages of Watch, as bytes and as JSON.
import { create, type JsonValue, type MessageInitShape, toBinary, toJson } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { ChangeSchema, WatchResponseSchema } from '../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import type { Signer } from './signers.ts';
import { ISSUER, NOW } from './tokens.ts';

type Change = MessageInitShape<typeof ChangeSchema>;

export type StreamMessage = { arrives_at_ms: number; wire: string; json: JsonValue };

type Times = {
  /** Since NOW, by the server's clock. */
  sentMs?: number;
  /** How long the message took. */
  delayMs?: number;
  /** How far the server is behind Postgres. */
  lagMs?: number;
  /** The client's clock minus the server's. */
  clockMs?: number;
};

/** A field of `Change.change` that no version has. */
const FUTURE_FIELD = { no: 100, wireType: 2, data: Uint8Array.of(3, 10, 1, 0x78) };

export function keysChanged(keys: Pick<Signer, 'kid' | 'algorithm' | 'spki'>[], issuer = ISSUER): Change {
  const published = keys.map(({ kid, algorithm, spki }) => ({ kid, algorithm, publicKey: spki }));
  return { change: { case: 'keysChanged', value: { keys: published, issuer } } };
}

export function sessionEnded(sessionId: string): Change {
  return { change: { case: 'sessionEnded', value: { sessionId } } };
}

export function userChanged(userId: string, staleBelow: number, revokedBelow: number): Change {
  const value = { userId, staleBelowEpoch: BigInt(staleBelow), revokedBelowEpoch: BigInt(revokedBelow) };
  return { change: { case: 'userChanged', value } };
}

export function roleChanged(role: string, staleBelow: number): Change {
  return { change: { case: 'roleChanged', value: { role, staleBelowEpoch: BigInt(staleBelow) } } };
}

export function noKind(): Change {
  return {};
}

export function futureKind(): Change {
  const change = create(ChangeSchema);
  change.$unknown = [FUTURE_FIELD];
  return change;
}

/** A message that does not complete a position. */
export function part(changes: Change[], times: Times = {}): StreamMessage {
  return message({ changes }, times);
}

/** A message with a cursor. */
export function position(changes: Change[] = [], times: Times = {}): StreamMessage {
  const asOf = NOW + (times.sentMs ?? 0) - (times.lagMs ?? 0);
  return message({ changes, cursor: 'cursor', asOf: timestampFromMs(asOf) }, times);
}

function message(
  content: MessageInitShape<typeof WatchResponseSchema>,
  { sentMs = 0, delayMs = 0, clockMs = 0 }: Times,
): StreamMessage {
  const complete = create(WatchResponseSchema, { ...content, sentAt: timestampFromMs(NOW + sentMs) });
  return {
    arrives_at_ms: NOW + sentMs + delayMs + clockMs,
    wire: Buffer.from(toBinary(WatchResponseSchema, complete)).toString('base64'),
    json: toJson(WatchResponseSchema, complete),
  };
}
