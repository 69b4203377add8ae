// The numbers of RFC 9113, and the two kinds of errors of section 5.4.

/** Section 6. */
export const FRAME = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
  /** RFC 9218 section 7. */
  PRIORITY_UPDATE: 16,
} as const;

export const FLAG = { ACK: 1, END_STREAM: 1, END_HEADERS: 4, PADDED: 8, PRIORITY: 32 } as const;

/** Section 6.5.2. */
export const SETTING = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
  /** RFC 9218 section 2.1. */
  NO_RFC7540_PRIORITIES: 9,
} as const;

/** Section 7. */
export const ERROR = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  INTERNAL_ERROR: 2,
  FLOW_CONTROL_ERROR: 3,
  SETTINGS_TIMEOUT: 4,
  STREAM_CLOSED: 5,
  FRAME_SIZE_ERROR: 6,
  REFUSED_STREAM: 7,
  CANCEL: 8,
  COMPRESSION_ERROR: 9,
  ENHANCE_YOUR_CALM: 11,
} as const;

export type ErrorCode = (typeof ERROR)[keyof typeof ERROR];

/** Section 3.4. */
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
export const FRAME_HEAD_BYTES = 9;
/** Section 4.2: the size that every endpoint accepts, and the only one that this server uses. */
export const MAX_FRAME_BYTES = 16_384;
/** Section 6.9.2: the size of each window before any setting. */
export const DEFAULT_WINDOW = 65_535;
/** The highest window and the highest stream id. */
export const MAX_31_BITS = 2 ** 31 - 1;

/** Ends the connection (section 5.4.1). */
export class ConnectionError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

export const NO_BYTES: Buffer = Buffer.alloc(0);
