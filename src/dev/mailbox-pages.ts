import { escapeHtml } from '../jobs/mails/escape-html.ts';
import type { ReceivedMail } from './received-mail.ts';

export function listPage(mails: ReceivedMail[]): string {
  const rows = mails.toReversed().map(
    ({ number, receivedAt, to, subject, link }) => `<tr>
      <td>${receivedAt.toLocaleTimeString()}</td><td>${escapeHtml(to)}</td>
      <td><a href="/mails/${number}">${escapeHtml(subject)}</a></td>
      <td>${link ? `<a href="${escapeHtml(link)}">open its link</a>` : ''}</td></tr>`,
  );
  const table = `<table><tr><th>time</th><th>to</th><th>subject</th><th></th></tr>${rows.join('')}</table>`;
  return page('Mailbox', `<meta http-equiv="refresh" content="3">${rows.length > 0 ? table : '<p>No mail yet.</p>'}`);
}

export function mailPage({ to, subject, text, html }: ReceivedMail): string {
  return page(
    subject,
    `<p><a href="/">all mails</a></p><p>to ${escapeHtml(to)}</p>
    <iframe sandbox="allow-popups allow-top-navigation-by-user-activation" srcdoc="${escapeHtml(`<base target="_top">${html}`)}"></iframe>
    <h2>plain text</h2><pre>${escapeHtml(text)}</pre>`,
  );
}

type Call = { title: string; method: string; request: Record<string, string> };

const CALLS: Record<string, Call> = {
  '/reset-password': {
    title: 'Set a new password',
    method: 'ConfirmReset',
    request: { resetToken: 'TOKEN', newPassword: 'a new pass phrase' },
  },
  '/verify-email': {
    title: 'Confirm your email address',
    method: 'VerifyEmail',
    request: { verificationToken: 'TOKEN', password: 'the password of the account' },
  },
  '/confirm-network': {
    title: 'Sign in from a new network',
    method: 'ConfirmNetwork',
    request: { networkToken: 'TOKEN' },
  },
  '/undo-email-change': {
    title: 'Undo the change of your email address',
    method: 'UndoEmailChange',
    request: { undoToken: 'TOKEN' },
  },
};

/** A substitute for the product's own page. The token stays in the browser. Null for a path that no e-mail links to. */
export function productPage(path: string, apiUrl: string): string | null {
  const call = Object.hasOwn(CALLS, path) ? CALLS[path] : undefined;
  if (!call) return null;
  const command = `curl ${apiUrl}/latchkey.auth.v1.AuthService/${call.method} -H 'content-type: application/json' -d '${JSON.stringify(call.request)}'`;
  return page(
    call.title,
    `<p>Your product's own page replaces this one: set PUBLIC_URL to its address. It makes this call:</p>
    <pre id="command">${escapeHtml(command)}</pre>
    <script>
      const token = new URLSearchParams(location.hash.slice(1)).get('token') ?? '';
      const command = document.getElementById('command');
      if (/^lk[npuv]_[A-Za-z0-9_-]+$/.test(token)) command.textContent = command.textContent.replace('TOKEN', token);
    </script>`,
  );
}

function page(title: string, body: string): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escapeHtml(title)}</title><style>
    body { font-family: system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em }
    table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .4em; border-bottom: 1px solid #ddd }
    iframe { width: 100%; height: 22em; border: 1px solid #ddd } pre { white-space: pre-wrap; background: #f4f4f4; padding: 1em }
  </style></head><body><h1>${escapeHtml(title)}</h1>${body}</body></html>`;
}
