import { ConnectionError, ERROR, MAX_31_BITS, MAX_FRAME_BYTES, SETTING } from './protocol.ts';

const MAX_FRAME_SIZE = 2 ** 24 - 1;

export type ClientSettings = {
  /** Null when it stays as it is. */
  initialWindow: number | null;
  hasTableSize: boolean;
};

/**
 * Checks the client's settings (RFC 9113 section 6.5.2). Most have no effect here: responses use frames of the lowest
 * size.
 * @throws ConnectionError
 */
export function readSettings(bytes: Buffer, start: number, end: number): ClientSettings {
  let initialWindow: number | null = null;
  let hasTableSize = false;
  for (let at = start; at < end; at += 6) {
    const [id, value] = [bytes.readUInt16BE(at), bytes.readUInt32BE(at + 2)];
    if (id === SETTING.ENABLE_PUSH || id === SETTING.NO_RFC7540_PRIORITIES)
      assert(value <= 1, 'a flag is neither 0 nor 1');
    if (id === SETTING.MAX_FRAME_SIZE)
      assert(value >= MAX_FRAME_BYTES && value <= MAX_FRAME_SIZE, 'the frame size is not allowed');
    if (id === SETTING.HEADER_TABLE_SIZE) hasTableSize = true;
    if (id !== SETTING.INITIAL_WINDOW_SIZE) continue;
    if (value > MAX_31_BITS) throw new ConnectionError(ERROR.FLOW_CONTROL_ERROR, 'the initial window is too large');
    initialWindow = value;
  }
  return { initialWindow, hasTableSize };
}

function assert(isTrue: boolean, message: string): void {
  if (!isTrue) throw new ConnectionError(ERROR.PROTOCOL_ERROR, message);
}
