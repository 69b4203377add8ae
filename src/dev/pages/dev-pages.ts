// The pages of `npm start` on the service's own port: the page at `/`, and the forms behind the links of e-mails.
// `serve` has none of them: a product brings its own pages, and the internet needs no page at `/`.
import { readFileSync } from 'node:fs';
import type { Handler } from '../../server/transport/handler.ts';
import type { ServerResponse } from '../../server/transport/server-response.ts';
import { type HomeFacts, homePage } from './home-page.ts';
import { linkPage } from './link-pages.ts';

type Page = { type: string; body: string };

/** Scripts and styles are files of their own, so the policy needs no exception. */
const HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

export function createDevPages(facts: HomeFacts): Handler {
  const files: Record<string, Page> = {
    '/dev/link-page.js': script('link-page.js'),
    '/dev/home-page.js': script('home-page.js'),
    '/dev/icon.svg': { type: 'image/svg+xml', body: read('icon.svg') },
    '/dev/pages.css': { type: 'text/css', body: read('pages.css') },
  };
  return (request, response) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') return false;
    const path = request.path;
    const page = Object.hasOwn(files, path) ? files[path] : htmlAt(path, facts);
    if (!page) return false;
    send(response, page);
    return true;
  };
}

function htmlAt(path: string, facts: HomeFacts): Page | null {
  const body = path === '/' ? homePage(facts) : linkPage(path);
  return body === null ? null : { type: 'text/html', body };
}

function script(name: string): Page {
  return { type: 'text/javascript', body: read(name) };
}

function read(name: string): string {
  return readFileSync(new URL(name, import.meta.url), 'utf8');
}

function send(response: ServerResponse, { type, body }: Page): void {
  for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
  response.setHeader('content-type', `${type}; charset=utf-8`);
  response.end(body);
}
