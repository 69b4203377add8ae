// A browser that is signed in through /session/.
import type { TestApp } from './app.ts';
import { registered } from './people.ts';
import { sendRequest } from './send-request.ts';

export type BrowserSession = { cookie: string; refreshCookie: string; refreshToken: string; userId: string };

/** The headers of a request for a page. */
export const NAVIGATE = { 'sec-fetch-mode': 'navigate', accept: 'text/html' };

export async function browserSession(app: Pick<TestApp, 'call' | 'url'>, origin: string): Promise<BrowserSession> {
  const { email, password, userId } = await registered(app.call);
  const headers = { 'content-type': 'application/json', origin };
  const body = JSON.stringify({ email, password });
  const response = await sendRequest(`${app.url}/session/sign-in`, { method: 'POST', headers, body });
  const pairs = response.headers.getSetCookie().map((text) => text.split(';')[0] as string);
  const cookie = pairs.find((pair) => pair.includes('session')) ?? '';
  const refreshCookie = pairs.find((pair) => pair.includes('refresh')) ?? '';
  return { cookie, refreshCookie, refreshToken: refreshCookie.split('=')[1] ?? '', userId };
}
