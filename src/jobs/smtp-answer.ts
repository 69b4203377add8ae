export class UndeliverableMail extends Error {}

/** Long enough for a queue id and a reason. */
const MAX_ANSWER_LENGTH = 200;

/**
 * Enhanced codes (RFC 3463) of 5xx replies that can succeed later. X.2.0 to X.2.2: a mailbox over its quota or rate,
 * disabled or full, as Office 365 and Gmail reply. X.1.7 and X.1.8: the sender's address. X.7.*: the sender's login,
 * its right to relay and its reputation. An operator can correct the sender and the login.
 */
const RETRYABLE = /^5\.(?:2\.[012]|1\.[78]|7\.\d+)$/;
/** RFC 5321: storage exceeded. RFC 4954: authentication required, or its mechanism or encryption too weak. */
const RETRYABLE_CODES = [552, 530, 534, 535, 538];

/**
 * Only a 5xx reply to the recipient or the message is permanent (RFC 5321 section 4.2.1). A reply to another command
 * concerns the session, the login or the sender. 503 means that the session was in the wrong state.
 */
export function isPermanent(error: unknown): boolean {
  const { command, responseCode, response } = error as Record<string, unknown>;
  const code = Number(responseCode);
  if ((command !== 'RCPT TO' && command !== 'DATA') || !(code >= 500) || code === 503) return false;
  const enhanced = /^\d{3}[ -](\d\.\d{1,3}\.\d{1,3})\b/.exec(String(response))?.[1];
  return enhanced === undefined ? !RETRYABLE_CODES.includes(code) : !RETRYABLE.test(enhanced);
}

export function withoutAddresses(answer: string): string {
  return withoutTokens(answer)
    .replace(/[^\s<>"'(),;:=[\]]*@[^\s<>"'(),;]*/g, '***')
    .replace(/[\s\p{C}]+/gu, ' ')
    .trim()
    .slice(0, MAX_ANSWER_LENGTH);
}

/** Spam filters can quote a link of the message, and links contain tokens. */
function withoutTokens(answer: string): string {
  return answer.replace(/(https?:\/\/[^\s#?]*[#?])\S*/gi, '$1***').replace(/\blk[a-z]_[\w-]+/g, '***');
}

/** For operators who read the outbox, not for the log. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error';
  const { code, response } = error as { code?: unknown; response?: unknown };
  const text = withoutTokens([code, response ?? error.message].filter((part) => part !== undefined).join(': '));
  return error.cause === undefined ? text : `${text} (${describe(error.cause)})`;
}

/** Null when the server did not reply. */
export function answerOf(error: unknown): { command: string; answer: string } | null {
  if (!(error instanceof Error)) return null;
  const { command, response } = error as { command?: unknown; response?: unknown };
  if (typeof response !== 'string') return answerOf(error.cause);
  return { command: String(command), answer: withoutAddresses(response) };
}
