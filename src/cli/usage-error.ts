/** The message includes the usage, and the process exits with 2. */
export class UsageError extends Error {}
