// A website whose users sign in with an account at an identity provider. This server keeps the tokens, and the browser receives a
// cookie. Run it with: npm run example:sign-in
import { randomUUID } from 'node:crypto';
import http from 'node:http';

const latchkey = process.env.LATCHKEY_URL ?? 'http://localhost:8080';
const port = Number(process.env.PORT ?? 9001);
const provider = process.env.PROVIDER ?? 'google';
const PREFIX = '__Host-';
let origin = '';

/** The signed-in users by the browser's cookie. A product stores them outside the process. */
const sessions = new Map<string, { user: { fullName: string; email: string }; tokens: { refreshToken: string } }>();

async function call(method: string, request: object) {
  const response = await fetch(`${latchkey}/latchkey.auth.v1.AuthService/${method}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(request),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.message);
  return answer;
}

const pages: Record<string, (url: URL, cookies: Map<string, string>, response: http.ServerResponse) => Promise<void>> =
  {
    '/': async (_, cookies, response) => {
      const session = sessions.get(cookies.get('session') ?? '');
      const text = session
        ? `Hello ${escapeHtml(session.user.fullName)} (${escapeHtml(session.user.email)}). <a href="/sign-out">Sign out</a>`
        : `<a href="/sign-in">Sign in with ${provider}</a>`;
      response.setHeader('content-type', 'text/html; charset=utf-8');
      response.end(`<!doctype html><meta charset="utf-8"><title>Example</title><p>${text}</p>`);
    },

    '/sign-in': async (_, __, response) => {
      const { authorizationUrl, binding } = await call('StartOAuth', { provider, redirectUri: `${origin}/callback` });
      // Binds the sign-in to this browser.
      setCookie(response, 'binding', binding, 600);
      response.writeHead(302, { location: authorizationUrl }).end();
    },

    '/callback': async ({ searchParams }, cookies, response) => {
      const answered = { state: 'state', code: 'code', issuer: 'iss', error: 'error' };
      const request = Object.fromEntries(
        Object.entries(answered).map(([field, name]) => [field, searchParams.get(name) ?? '']),
      );
      const binding = cookies.get('binding') ?? '';
      const signedIn = await call('FinishOAuth', { ...request, binding, redirectUri: `${origin}/callback` });
      const id = randomUUID();
      sessions.set(id, signedIn);
      setCookie(response, 'binding', '', 0);
      setCookie(response, 'session', id, 86_400);
      response.writeHead(302, { location: '/' }).end();
    },

    '/sign-out': async (_, cookies, response) => {
      const id = cookies.get('session') ?? '';
      const session = sessions.get(id);
      sessions.delete(id);
      if (session) await call('Logout', { refreshToken: session.tokens.refreshToken });
      response.writeHead(302, { location: '/' }).end();
    },
  };

/** Only this host can set the cookie, and no script can read it. Safari requires https for it, also on localhost. */
function setCookie(response: http.ServerResponse, name: string, value: string, maxAgeSeconds: number): void {
  const attributes = `Secure; HttpOnly; SameSite=Lax; Path=/; Max-Age=${maxAgeSeconds}`;
  response.appendHeader('set-cookie', `${PREFIX}${name}=${value}; ${attributes}`);
}

function cookiesOf({ headers }: http.IncomingMessage): Map<string, string> {
  const pairs = (headers.cookie ?? '').split('; ').filter((pair) => pair.startsWith(PREFIX));
  return new Map(pairs.map((pair) => pair.slice(PREFIX.length).split('=', 2) as [string, string]));
}

/** A name could contain markup. */
function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);
}

const server = http.createServer((request, response) => {
  const url = URL.parse(`http://localhost${request.url}`) ?? new URL('http://localhost/not-found');
  const page = Object.hasOwn(pages, url.pathname) ? pages[url.pathname] : undefined;
  if (!page) return response.writeHead(404).end();
  page(url, cookiesOf(request), response).catch((error: Error) => {
    response.writeHead(400, { 'content-type': 'text/plain; charset=utf-8' }).end(`That did not work: ${error.message}`);
  });
});
server.listen(port, '127.0.0.1', () => {
  const address = server.address();
  origin = `http://localhost:${typeof address === 'object' ? address?.port : port}`;
  console.log(`sign in at ${origin}`);
});
