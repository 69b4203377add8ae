// A website whose users sign in with an account at an identity provider. This server keeps the tokens, and the browser receives a
// cookie. Run it beside `npm start`:
//
//   npm run build
//   LATCHKEY_KEY=$(cat .latchkey/dev/service-key) npm run example:sign-in
import { randomUUID } from 'node:crypto';
import http from 'node:http';
import { createClients, reasonOf, type UserClients } from '@latchkey/client';

const { LATCHKEY_URL = 'http://localhost:8080', LATCHKEY_KEY = '' } = process.env;
const latchkey = createClients({ url: LATCHKEY_URL, serviceKey: LATCHKEY_KEY });
const port = Number(process.env.PORT ?? 9001);
const provider = process.env.PROVIDER ?? 'google';
const PREFIX = '__Host-';
let origin = '';

/** The signed-in users by the browser's cookie. A product stores them outside the process. */
const sessions = new Map<string, { user: { fullName: string; email: string }; tokens: { refreshToken: string } }>();

/**
 * Limits and the audit trail then use the address of the browser, and not that of this server. Behind a proxy, it is the
 * address that the proxy reports.
 */
function forBrowser({ socket, headers }: http.IncomingMessage): UserClients {
  return latchkey.forUser({ clientAddress: socket.remoteAddress ?? '', userAgent: headers['user-agent'] ?? '' });
}

type Visit = { url: URL; cookies: Map<string, string>; clients: UserClients };

const pages: Record<string, (visit: Visit, response: http.ServerResponse) => Promise<void>> = {
  '/': async ({ cookies }, response) => {
    const session = sessions.get(cookies.get('session') ?? '');
    const text = session
      ? `Hello ${escapeHtml(session.user.fullName)} (${escapeHtml(session.user.email)}). <a href="/sign-out">Sign out</a>`
      : `<a href="/sign-in">Sign in with ${provider}</a>`;
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(`<!doctype html><meta charset="utf-8"><title>Example</title><p>${text}</p>`);
  },

  '/sign-in': async ({ clients }, response) => {
    const { authorizationUrl, binding } = await clients.auth.startOAuth({
      provider,
      redirectUri: `${origin}/callback`,
    });
    // Binds the sign-in to this browser.
    setCookie(response, 'binding', binding, 600);
    response.writeHead(302, { location: authorizationUrl }).end();
  },

  '/callback': async ({ url, cookies, clients }, response) => {
    const answer = (name: string) => url.searchParams.get(name) ?? '';
    const { user, tokens } = await clients.auth.finishOAuth({
      state: answer('state'),
      code: answer('code'),
      issuer: answer('iss'),
      error: answer('error'),
      binding: cookies.get('binding') ?? '',
      redirectUri: `${origin}/callback`,
    });
    if (!user || !tokens) throw new Error('the response has no user');
    const id = randomUUID();
    sessions.set(id, { user, tokens });
    setCookie(response, 'binding', '', 0);
    setCookie(response, 'session', id, 86_400);
    response.writeHead(302, { location: '/' }).end();
  },

  '/sign-out': async ({ cookies, clients }, response) => {
    const id = cookies.get('session') ?? '';
    const session = sessions.get(id);
    sessions.delete(id);
    if (session) await clients.auth.logout({ refreshToken: session.tokens.refreshToken });
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
  page({ url, cookies: cookiesOf(request), clients: forBrowser(request) }, response).catch((error: unknown) => {
    console.error(error);
    const text = `That did not work: ${reasonOf(error) ?? 'try again later'}`;
    response.writeHead(400, { 'content-type': 'text/plain; charset=utf-8' }).end(text);
  });
});
server.listen(port, '127.0.0.1', () => {
  const address = server.address();
  origin = `http://localhost:${typeof address === 'object' ? address?.port : port}`;
  console.log(`sign in at ${origin}`);
});
