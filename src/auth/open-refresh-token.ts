import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { parseRefreshToken, type RefreshToken } from '../domain/refresh-token.ts';
import { networkOf } from '../limits/network-of.ts';
import { throttle } from './throttle.ts';

/** @throws AuthError REFRESH_TOKEN_INVALID for a token that this deployment has not made, RATE_LIMITED for many of them */
export async function openRefreshToken(
  deps: Pick<Deps, 'limiter' | 'store' | 'purposeKeys' | 'now'>,
  text: string,
  call: Call,
): Promise<RefreshToken> {
  const token = parseRefreshToken(text, deps.purposeKeys.refreshTokens);
  if (token) return token;
  await throttle(deps, [{ limit: 'REFRESH_NETWORK', key: networkOf(call.origin.address) }], {}, call);
  throw new AuthError('REFRESH_TOKEN_INVALID');
}
