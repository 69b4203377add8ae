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

function page(title: string, body: string): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escapeHtml(title)}</title><style>
    body { font-family: system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em }
    table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .4em; border-bottom: 1px solid #ddd }
    iframe { width: 100%; height: 22em; border: 1px solid #ddd } pre { white-space: pre-wrap; background: #f4f4f4; padding: 1em }
  </style></head><body><h1>${escapeHtml(title)}</h1>${body}</body></html>`;
}
