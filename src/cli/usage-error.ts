/** The command line was not understood; the message is what can be said. */
export class UsageError extends Error {}
