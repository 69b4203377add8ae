/** Receives what happens to a stream. */
export type StreamReceiver = {
  /** @param piece of the body; it belongs to the read buffer, so a receiver that keeps it copies it */
  onData(piece: Buffer): void;
  /** The request is complete. */
  onEnd(): void;
  /** All written bytes have left, after a `write` that returned false. */
  onDrain(): void;
  /** The time `deadline` has come. */
  onDeadline(): void;
  /** Nothing follows. */
  onClose(): void;
};
