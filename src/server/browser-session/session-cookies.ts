// The two cookies of a browser session. The session cookie reaches every path and identifies the user to gateways. The
// refresh cookie reaches only the endpoints of this folder, and no service behind a gateway.
import { sessionCookieNames } from '../../domain/browser-sessions.ts';
import type { Tokens } from '../../domain/tokens.ts';
import type { ServerResponse } from '../transport/server-response.ts';

export const SESSION_PATH = '/session/';

type NewCookies = { tokens: Tokens; sessionToken: string; isSecure: boolean; now: Date };

export function setSessionCookies(response: ServerResponse, { tokens, sessionToken, isSecure, now }: NewCookies): void {
  const names = sessionCookieNames({ isSecure });
  const secondsUntil = (time: Date) => Math.max(0, Math.floor((time.getTime() - now.getTime()) / 1000));
  response.setHeader('set-cookie', [
    cookie(`${names.session}=${sessionToken}`, '/', secondsUntil(tokens.expiresAt), isSecure),
    cookie(`${names.refresh}=${tokens.refreshToken}`, SESSION_PATH, secondsUntil(tokens.refreshExpiresAt), isSecure),
  ]);
}

export function clearSessionCookies(response: ServerResponse, isSecure: boolean): void {
  const names = sessionCookieNames({ isSecure });
  response.setHeader('set-cookie', [
    cookie(`${names.session}=`, '/', 0, isSecure),
    cookie(`${names.refresh}=`, SESSION_PATH, 0, isSecure),
  ]);
}

/**
 * Lax, not Strict: a link on another site must find the user signed in. A renewal is the redirect of such a request.
 */
function cookie(pair: string, path: string, maxAgeSeconds: number, isSecure: boolean): string {
  const attributes = [`Path=${path}`, `Max-Age=${maxAgeSeconds}`, 'HttpOnly', 'SameSite=Lax'];
  return [pair, ...attributes, ...(isSecure ? ['Secure'] : [])].join('; ');
}
