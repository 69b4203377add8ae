import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import { noteForLog } from '../process/log-context.ts';
import type { MailedTokenKind } from '../store/mailed-tokens.ts';

const REASONS = {
  reset: 'RESET_TOKEN_INVALID',
  verification: 'VERIFICATION_TOKEN_INVALID',
  network: 'NETWORK_TOKEN_INVALID',
} as const;

/** Logs whether the token is used or expired, which the caller does not receive. */
export async function rejectMailedToken(
  { store, now }: Pick<Deps, 'store' | 'now'>,
  kind: MailedTokenKind,
  id: string,
): Promise<never> {
  const { cause, userId } = await store.mailedTokens.faultOf(kind, id, now());
  noteForLog({ reason_detail: cause, ...(userId !== null && { user_id: userId }) });
  throw new AuthError(REASONS[kind]);
}
