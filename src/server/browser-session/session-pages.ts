// Plain pages for products that have none of their own yet. They work without scripts, apart from passkeys.
import { createHash } from 'node:crypto';
import type { ServerResponse } from '../transport/server-response.ts';
import { PASSKEY_SCRIPT } from './passkey-script.ts';

const STYLE =
  ':root{color-scheme:light dark;font-family:system-ui,sans-serif;line-height:1.5}main{max-width:22em;margin:4em auto;padding:0 1em}label,form{display:grid;gap:.5em}input,button{font:inherit;padding:.5em}button{margin-top:.5em}form,details{margin:1em 0}svg{width:12em}[hidden]{display:none}';

const sourceOf = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

/** `same-origin`: with `no-referrer` browsers would send `Origin: null` with the form. */
const HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'content-security-policy': `default-src 'none'; style-src ${sourceOf(STYLE)}; script-src ${sourceOf(PASSKEY_SCRIPT)}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
  'x-frame-options': 'DENY',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
};

type SignInPage = { returnTo: string; email?: string; message?: string; offersPasskeys: boolean };

export function signInPage({ returnTo, email = '', message = '', offersPasskeys }: SignInPage): string {
  const hidden = { return: returnTo };
  return page('Sign in', [
    alert(message),
    form(
      { action: 'sign-in', hidden },
      `<label>Email <input type="email" name="email" value="${escapeHtml(email)}" autocomplete="username" required autofocus></label>
<label>Password <input type="password" name="password" autocomplete="current-password" required></label>
<button>Sign in</button>`,
    ),
    offersPasskeys ? form({ action: 'passkey', hidden, passkey: {} }, '<button>Sign in with a passkey</button>') : '',
  ]);
}

export function signOutPage(returnTo: string): string {
  return page('Sign out', [form({ action: 'sign-out', hidden: { return: returnTo } }, '<button>Sign out</button>')]);
}

export function errorPage(message: string): string {
  return page('This did not work', [alert(message)]);
}

export function sendPage(response: ServerResponse, status: number, html: string): void {
  for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
  response.statusCode = status;
  response.end(html);
}

/** The script shows it where the browser can use passkeys. */
const PASSKEY_FORM = 'class="passkey" hidden';

type Form = { action: string; hidden: Record<string, string>; passkey?: Record<string, string> };

/**
 * @param passkey data for the script, by name
 * @param content HTML
 */
export function form({ action, hidden, passkey }: Form, content: string): string {
  const data = Object.entries(passkey ?? {}).map(([name, value]) => `data-${name}="${escapeHtml(value)}"`);
  const attributes = [...(passkey ? [PASSKEY_FORM] : []), 'method="post"', `action="/session/${action}"`, ...data];
  const fields = Object.entries(hidden).map(
    ([name, value]) => `<input type="hidden" name="${name}" value="${escapeHtml(value)}">`,
  );
  return `<form ${attributes.join(' ')}>\n${[...fields, content].join('\n')}\n</form>`;
}

export function alert(message: string): string {
  return message === '' ? '' : `<p role="alert">${escapeHtml(message)}</p>`;
}

/** @param parts of the body, as HTML. With a form of passkeys the page has the script. */
export function page(title: string, parts: string[]): string {
  const body = parts.filter((part) => part !== '').join('\n');
  const script = body.includes(`<form ${PASSKEY_FORM}`) ? `<script>${PASSKEY_SCRIPT}</script>` : '';
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title><style>${STYLE}</style></head>
<body><main><h1>${title}</h1>
${body}
</main>${script}</body>
</html>
`;
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
