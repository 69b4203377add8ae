// `npm run mails`: shows every e-mail in a browser, as HTML and as plain text.
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { escapeHtml } from '../jobs/mails/escape-html.ts';
import type { MailContent } from '../jobs/mails/layout.ts';
import { MAILS } from '../jobs/mails/mails.ts';

const SAMPLE = {
  publicUrl: 'https://product.example',
  token: 'lkx_a-sample-of-a-token',
  tokenExpiresAt: new Date(Date.now() + 3600_000),
  happenedAt: new Date(),
  provider: 'google',
  providers: ['google'],
  factorKind: 'totp' as const,
  factorKinds: ['totp' as const, 'passkey' as const, 'passkey' as const],
  codesLeft: 9,
};

export const PREVIEWS: Record<string, () => MailContent> = {
  ...Object.fromEntries(Object.entries(MAILS).map(([name, write]) => [name, () => write(SAMPLE)])),
  'password-reset-new-account': () => MAILS['password-reset']({ ...SAMPLE, resetCause: 'new-account' }),
  'password-reset-password-void': () => MAILS['password-reset']({ ...SAMPLE, resetCause: 'password-void' }),
};

export async function previewMails(port: number): Promise<{ url: string; close(): void }> {
  const server = http.createServer((request, response) => {
    const name = request.url?.slice(1) ?? '';
    const make = Object.hasOwn(PREVIEWS, name) ? PREVIEWS[name] : undefined;
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(make ? make().html : overview());
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
  return { url: `http://localhost:${(server.address() as AddressInfo).port}`, close: () => server.close() };
}

function overview(): string {
  const sections = Object.entries(PREVIEWS).map(([name, make]) => {
    const { subject, text } = make();
    return `<h2>${escapeHtml(subject)} <small>${name}</small></h2>
<iframe src="/${name}" style="width:48%;height:26em;border:1px solid #ccc"></iframe>
<pre style="display:inline-block;width:48%;vertical-align:top;white-space:pre-wrap">${escapeHtml(text)}</pre>`;
  });
  return `<!doctype html><meta charset="utf-8"><title>Mails</title>${sections.join('\n')}`;
}
