// A web application whose users sign up, sign in and manage their account. This server keeps no state: the tokens are in
// HttpOnly cookies, so no script of a page can read them. Run it with: npm run example:web-app
import http from 'node:http';
import { createClients, createLatchkey } from '@latchkey/client';
import { accountPages } from './account-pages.ts';
import { linkPages } from './link-pages.ts';
import { type App, type Page, readForm, respond, Stop, type Visit } from './pages.ts';
import { problemPage } from './problems.ts';
import { publicFile } from './public-files.ts';
import { securityPages } from './security-pages.ts';
import { createSessions } from './sessions.ts';
import { signInPages } from './sign-in-pages.ts';

const url = process.env.LATCHKEY_URL ?? 'http://localhost:8080';
const serviceKey = process.env.LATCHKEY_KEY ?? '';
const port = Number(process.env.PORT ?? 9002);
const isBehindProxy = process.env.BEHIND_PROXY === 'yes';

const latchkey = createLatchkey({ url, serviceKey, onError: (error) => console.warn(error) });
await latchkey.ready();
const clients = createClients({ url, serviceKey });
const app: App = { clients, sessions: createSessions(clients, latchkey) };
const pages: Record<string, Page> = { ...signInPages, ...accountPages, ...securityPages, ...linkPages };

/** Limits by network and the audit trail of Latchkey name the user's address, not that of this server. */
function clientAddress(request: http.IncomingMessage): string {
  // The proxy appends the address of its client, and everything before it can be forged.
  const forwarded =
    String(request.headers['x-forwarded-for'] ?? '')
      .split(',')
      .at(-1)
      ?.trim() ?? '';
  return isBehindProxy ? forwarded : (request.socket.remoteAddress ?? '');
}

async function serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://here.invalid');
  const file = request.method === 'GET' ? publicFile(pathname) : null;
  if (file) return void response.writeHead(200, file.headers).end(file.body);
  const key = `${request.method} ${pathname}`;
  const page = Object.hasOwn(pages, key) ? pages[key] : undefined;
  if (!page) throw new Stop(404, 'There is no such page.');
  // SameSite=Lax keeps the cookies out of most requests of other sites. This check rejects all of them.
  if (request.method === 'POST' && !isFromOwnPage(request)) throw new Stop(403, 'The form came from another site.');
  const user = { clientAddress: clientAddress(request), userAgent: request.headers['user-agent'] ?? '' };
  const visit: Visit = { ...app, request, response, user, query: searchParams, form: await readForm(request) };
  await page(visit);
}

/** A page of another origin can set neither header. */
function isFromOwnPage({ headers }: http.IncomingMessage): boolean {
  const site = headers['sec-fetch-site'];
  return site === undefined ? URL.parse(headers.origin ?? '')?.host === headers.host : site === 'same-origin';
}

const server = http.createServer((request, response) => {
  serve(request, response).catch((error: unknown) => {
    if (!response.headersSent) respond(response, ...problemPage(error));
    else response.destroy();
  });
});
server.listen(port, '127.0.0.1', () => {
  const address = server.address();
  console.log(`the web application is on http://localhost:${typeof address === 'object' ? address?.port : port}`);
});
process.once('SIGTERM', () => {
  server.close();
  server.closeAllConnections();
  clients.close();
  latchkey.close();
});
