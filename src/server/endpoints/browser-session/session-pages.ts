// Plain pages for products that have none of their own yet. They work without scripts.
import { createHash } from 'node:crypto';
import type { ServerResponse } from '../../transport/server-response.ts';

const STYLE =
  ':root{color-scheme:light dark;font-family:system-ui,sans-serif;line-height:1.5}main{max-width:22em;margin:4em auto;padding:0 1em}label,form{display:grid;gap:.5em}input,button{font:inherit;padding:.5em}button{margin-top:.5em}';
const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64');

/** `same-origin`: with `no-referrer` browsers would send `Origin: null` with the form. */
const HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'content-security-policy': `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
  'x-frame-options': 'DENY',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
};

type SignInPage = { returnTo: string; email: string; message: string };

export function signInPage({ returnTo, email, message }: SignInPage): string {
  return page(
    'Sign in',
    `${message === '' ? '' : `<p role="alert">${escapeHtml(message)}</p>`}
<form method="post" action="/session/sign-in">
<input type="hidden" name="return" value="${escapeHtml(returnTo)}">
<label>Email <input type="email" name="email" value="${escapeHtml(email)}" autocomplete="username" required autofocus></label>
<label>Password <input type="password" name="password" autocomplete="current-password" required></label>
<button>Sign in</button>
</form>`,
  );
}

export function signOutPage(returnTo: string): string {
  return page(
    'Sign out',
    `<form method="post" action="/session/sign-out">
<input type="hidden" name="return" value="${escapeHtml(returnTo)}">
<button>Sign out</button>
</form>`,
  );
}

export function errorPage(message: string): string {
  return page('Sign in', `<p role="alert">${escapeHtml(message)}</p>`);
}

export function sendPage(response: ServerResponse, status: number, html: string): void {
  for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
  response.statusCode = status;
  response.end(html);
}

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title><style>${STYLE}</style></head>
<body><main><h1>${title}</h1>
${body}
</main></body>
</html>
`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
