// The session of a browser: two cookies with the tokens. The access token identifies the user for minutes, and is
// verified here without a call. The refresh token renews it without the user's help.
import type http from 'node:http';
import {
  AuthError,
  type Clients,
  type Latchkey,
  reasonOf,
  type UserClients,
  type UserPrincipal,
} from '@latchkey/client';
import type { Visit } from './pages.ts';

export type SignedIn = {
  principal: UserPrincipal;
  /** Clients that call Latchkey for this user. */
  calls: UserClients;
};

export type Sessions = {
  /** Null for a visitor who must sign in. Renews the cookies when the access token has expired or is stale. */
  find(visit: Visit): Promise<SignedIn | null>;
  start(visit: Visit, tokens: Tokens | undefined): void;
  /** The session continues with the tokens of a re-authentication. Its former refresh token is invalid. */
  replace(visit: Visit, tokens: Tokens | undefined): Promise<SignedIn>;
  /** Deletes the cookies of a session that has ended. */
  forget(visit: Visit): void;
  end(visit: Visit): Promise<void>;
};

type Tokens = Awaited<ReturnType<Clients['auth']['refresh']>>['tokens'];
type NewTokens = NonNullable<Tokens>;

/**
 * Only this host can set a cookie of this prefix, and only over TLS or on localhost. Lax: a link on another site finds
 * the user signed in, and a form on another site does not.
 */
const NAMES = { access: '__Host-access', refresh: '__Host-refresh' };
const RENEWABLE = ['TOKEN_EXPIRED', 'TOKEN_STALE', 'TOKEN_INVALID'];
const ENDED = ['REFRESH_TOKEN_INVALID', 'REFRESH_TOKEN_REUSED', 'SESSION_EXPIRED', 'SESSION_ENDED', 'TOKEN_REVOKED'];

export function createSessions(clients: Clients, latchkey: Latchkey): Sessions {
  /** Requests that arrive together share one renewal. Other processes receive the same successor from Latchkey. */
  const renewals = new Map<string, Promise<Tokens>>();

  function renew(refreshToken: string, user: Visit['user']): Promise<Tokens> {
    const running = renewals.get(refreshToken);
    if (running) return running;
    const renewal = clients
      .forUser(user)
      .auth.refresh({ refreshToken })
      .then(({ tokens }) => tokens)
      .finally(() => renewals.delete(refreshToken));
    renewals.set(refreshToken, renewal);
    return renewal;
  }

  async function signedIn(accessToken: string, user: Visit['user']): Promise<SignedIn> {
    const principal = await latchkey.verify(accessToken);
    if (principal.kind !== 'user') throw new AuthError('TOKEN_INVALID');
    return { principal, calls: clients.forUser({ ...user, accessToken }) };
  }

  async function renewed(visit: Visit, refreshToken: string): Promise<SignedIn | null> {
    try {
      const tokens = await renew(refreshToken, visit.user);
      if (!tokens) return null;
      setCookies(visit.response, tokens);
      return await signedIn(tokens.accessToken, visit.user);
    } catch (error) {
      // Any other error, such as an outage, leaves the session as it was.
      if (!ENDED.includes(reasonOf(error) ?? '')) throw error;
      clearCookies(visit.response);
      return null;
    }
  }

  return {
    async find(visit) {
      const { access = '', refresh = '' } = cookiesOf(visit.request);
      try {
        if (access !== '') return await signedIn(access, visit.user);
      } catch (error) {
        const reason = reasonOf(error) ?? '';
        if (ENDED.includes(reason)) {
          clearCookies(visit.response);
          return null;
        }
        if (!RENEWABLE.includes(reason)) throw error;
      }
      return refresh === '' ? null : renewed(visit, refresh);
    },

    start({ response }, tokens) {
      if (tokens) setCookies(response, tokens);
    },

    replace(visit, tokens) {
      if (!tokens) throw new AuthError('TOKEN_INVALID');
      setCookies(visit.response, tokens);
      return signedIn(tokens.accessToken, visit.user);
    },

    forget({ response }) {
      clearCookies(response);
    },

    async end({ request, response, user }) {
      const { refresh = '' } = cookiesOf(request);
      clearCookies(response);
      if (refresh !== '') await clients.forUser(user).auth.logout({ refreshToken: refresh });
    },
  };
}

function setCookies(response: http.ServerResponse, tokens: NewTokens): void {
  setCookie(response, NAMES.access, tokens.accessToken, tokens.expiresAt);
  setCookie(response, NAMES.refresh, tokens.refreshToken, tokens.refreshExpiresAt);
}

function clearCookies(response: http.ServerResponse): void {
  response.removeHeader('set-cookie');
  for (const name of Object.values(NAMES)) setCookie(response, name, '', undefined);
}

type Timestamp = NewTokens['expiresAt'];

/** @param expiresAt none to delete the cookie */
export function setCookie(response: http.ServerResponse, name: string, value: string, expiresAt: Timestamp): void {
  const expires = new Date(Number(expiresAt?.seconds ?? 0) * 1000).toUTCString();
  response.appendHeader('set-cookie', `${name}=${value}; Path=/; Expires=${expires}; Secure; HttpOnly; SameSite=Lax`);
}

export function cookieValue({ headers }: http.IncomingMessage, name: string): string {
  const pairs = (headers.cookie ?? '').split('; ').filter((pair) => pair.startsWith(`${name}=`));
  return pairs.length === 1 ? (pairs[0] as string).slice(name.length + 1) : '';
}

function cookiesOf(request: http.IncomingMessage): { access: string; refresh: string } {
  return { access: cookieValue(request, NAMES.access), refresh: cookieValue(request, NAMES.refresh) };
}
