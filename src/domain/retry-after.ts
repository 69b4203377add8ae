// The delays that clients are asked to wait before they send a rejected call again, in milliseconds.

/** After overload of a moment, or an outage of a dependency. */
export const RETRY_SOON_MS = 1_000;
/** After the eviction of a stream: its client needs a new one, and many would reconnect at once. */
export const RETRY_STREAM_MS = 5_000;
