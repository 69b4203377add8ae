/** All requests share it: an error of its own for each would need a stack trace, the most expensive part of an abort. */
export const DISCONNECTED = new DOMException('the client has disconnected', 'AbortError');
