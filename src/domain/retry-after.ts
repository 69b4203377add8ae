/** After a short overload, or an outage of a dependency. */
export const RETRY_SOON_MS = 1_000;
/** After the eviction of a stream. Many clients would reconnect at once. */
export const RETRY_STREAM_MS = 5_000;
