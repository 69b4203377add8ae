import { escapeHtml } from './escape-html.ts';

export type MailContent = { subject: string; text: string; html: string };

export type Part = string | { label: string; href: string };

const TIME = new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeStyle: 'short', timeZone: 'UTC' });

export function layout(subject: string, parts: Part[]): MailContent {
  const text = parts.map((part) => (typeof part === 'string' ? part : `${part.label}:\n${part.href}`)).join('\n\n');
  const html = parts.map((part) => `<p>${typeof part === 'string' ? escapeHtml(part) : link(part)}</p>`).join('\n');
  return { subject, text: `${text}\n`, html: page(subject, html) };
}

/** Such as `30 November 2026 at 09:05 UTC`. */
export function formatTime(time: Date): string {
  return `${TIME.format(time)} UTC`;
}

export function linkValidUntil(time: Date): string {
  return `The link can be used once and is valid until ${formatTime(time)}.`;
}

function link({ label, href }: { label: string; href: string }): string {
  const style =
    'display:inline-block;padding:10px 18px;border-radius:6px;background:#1f4f8f;color:#fff;text-decoration:none';
  return `<a href="${escapeHtml(href)}" style="${style}">${escapeHtml(label)}</a>`;
}

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>${escapeHtml(title)}</title></head>
<body style="font-family:system-ui,sans-serif;line-height:1.5;max-width:36em;margin:2em auto;padding:0 1em">
${body}
</body>
</html>
`;
}
