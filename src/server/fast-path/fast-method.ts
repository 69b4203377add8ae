// A method of the fast path, and what it returns.
import type { Reason } from '../../domain/error-reason.ts';
import type { Verdict } from '../../verifier/engine.ts';
import type { MessageBounds } from '../calls/message-bounds.ts';

/** The prefix of a message in gRPC: flags, and the length in four bytes. */
export const ENVELOPE_BYTES = 5;

export type Reply = {
  /** The message with the prefix of gRPC, where it is already made. */
  envelope?: Uint8Array;
  size(): number;
  write(into: Buffer, at: number): void;
  json(): string;
  denial?: Reason;
  /** The credential of a denial, for the log line. */
  credential?: string;
  /** The client behind a gateway, in the place of the caller. `requestId` is empty where none is needed. */
  client?: { requestId: string; forwardedFor(): string };
};
/** `credential` is for the log line. */
export type Rejected = Extract<Verdict, { reason: unknown }> & { credential: string };

export type FastCaller = {
  /** The token of the call's own `authorization: Bearer ...`, or empty. */
  credential: string;
  requestId: string;
  /** The metadata of the call with METADATA_PREFIX. */
  requirements(): [name: string, value: string][];
};

export type FastMethod = {
  name: string;
  bounds: MessageBounds;
  /** Checked from memory before any of the body is read. Connect answers callers for which this is false. */
  mayCall(credential: string): boolean;
  /** @param start of the message in these bytes */
  binary(bytes: Buffer, start: number, caller: FastCaller): Reply | Rejected | null;
  json(message: object, caller: FastCaller): Reply | Rejected | null;
};
