// The delays before a client may send a rejected call again, in milliseconds.

/** After a short overload, or an outage of a dependency. */
export const RETRY_SOON_MS = 1_000;
/** After the eviction of a stream: its client opens a new one, and many clients would do so at once. */
export const RETRY_STREAM_MS = 5_000;
