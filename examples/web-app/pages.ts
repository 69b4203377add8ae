// The parts that all pages share: the visit, its form, and the response.
import type http from 'node:http';
import type { CalledFor, Clients } from '@latchkey/client';
import { type Html, html } from './html.ts';
import type { Sessions, SignedIn } from './sessions.ts';

export type App = { clients: Clients; sessions: Sessions };

export type Visit = App & {
  request: http.IncomingMessage;
  response: http.ServerResponse;
  /** Sent with each call, so that Latchkey counts and audits the user and not this server. */
  user: Pick<CalledFor, 'clientAddress' | 'userAgent'>;
  query: URLSearchParams;
  form: URLSearchParams;
};

export type Page = (visit: Visit) => Promise<void>;

/** Ends a visit with a page that shows the text. */
export class Stop extends Error {
  readonly status: number;

  constructor(status: number, text: string) {
    super(text);
    this.status = status;
  }
}

/** The response of a passkey, a QR code and the options of a challenge. */
const MAX_FORM_BYTES = 64 * 1024;

/** `same-origin`: with `no-referrer` browsers would send no usable `origin` with a form. */
const HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'referrer-policy': 'same-origin',
  'x-content-type-options': 'nosniff',
};

export async function readForm(request: http.IncomingMessage): Promise<URLSearchParams> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk;
    if (text.length > MAX_FORM_BYTES) throw new Stop(413, 'The form is too large.');
  }
  return new URLSearchParams(text);
}

export function respond(response: http.ServerResponse, status: number, title: string, body: Html): void {
  const page = html`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="/style.css"><script type="module" src="/page.js"></script><script type="module" src="/passkeys.js"></script></head>
<body><main><h1>${title}</h1>
${body}
</main></body></html>`;
  response.writeHead(status, HEADERS).end(page.html);
}

export function show(visit: Visit, title: string, body: Html): void {
  respond(visit.response, 200, title, body);
}

/** 303: the browser gets the next page, and a reload does not send the form again. */
export function redirect({ response }: Visit, path: string): void {
  response.writeHead(303, { location: path, 'cache-control': 'no-store' }).end();
}

/** A path of this site. Any other text leads to the home page, so a link cannot lead to another site. */
export function returnPath(text: string | null): string {
  return text !== null && /^\/(?![/\\])[!-[\]-~]*$/.test(text) ? text : '/';
}

/** Leads a visitor to the sign-in page, and from there back. */
export async function requireSession(visit: Visit): Promise<SignedIn | null> {
  const session = await visit.sessions.find(visit);
  // Only a page can be returned to, not the target of a form.
  const target = visit.request.method === 'GET' ? (visit.request.url ?? '/') : '/account';
  if (!session) redirect(visit, `/sign-in?return=${encodeURIComponent(target)}`);
  return session;
}

export function problemIn(text: string): Html {
  return html`<p id="problem" role="status">${text}</p>`;
}

export function field(form: URLSearchParams, name: string): string {
  return form.get(name) ?? '';
}
