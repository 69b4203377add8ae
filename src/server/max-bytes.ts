/** Of one message, in either direction, compressed or not. */
export const MAX_MESSAGE_BYTES = 64 * 1024;
/** The same of a batch. */
export const MAX_BATCH_BYTES = 1024 * 1024;
