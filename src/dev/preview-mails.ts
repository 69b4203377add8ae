// `npm run mails`: every mail there is, in a browser, as HTML and as plain text.
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { confirmNetworkMail } from '../jobs/mails/confirm-network.ts';
import { emailChangedMail, emailChangeRequestedMail, emailChangeUndoneMail } from '../jobs/mails/email-change.ts';
import { escapeHtml } from '../jobs/mails/escape-html.ts';
import type { MailContent } from '../jobs/mails/layout.ts';
import {
  accountDeletedMail,
  emailTakenMail,
  passwordChangedMail,
  passwordResetDoneMail,
  signInMethodAddedMail,
  signInMethodRemovedMail,
} from '../jobs/mails/notices.ts';
import { passwordResetMail } from '../jobs/mails/password-reset.ts';
import { confirmEmailChangeMail, verifyEmailMail } from '../jobs/mails/verify-email.ts';

const URL_OF_PRODUCT = 'https://product.example';
const SAMPLE = ['lkx_a-sample-of-a-token', new Date(Date.now() + 3600_000)] as const;

/** By the template's name, and its variant where it has one. */
export const MAILS: Record<string, () => MailContent> = {
  'password-reset': () => passwordResetMail(URL_OF_PRODUCT, ...SAMPLE),
  'password-reset-new-account': () => passwordResetMail(URL_OF_PRODUCT, ...SAMPLE, 'new-account'),
  'password-reset-password-void': () => passwordResetMail(URL_OF_PRODUCT, ...SAMPLE, 'password-void'),
  'password-changed': () => passwordChangedMail(URL_OF_PRODUCT),
  'password-reset-done': () => passwordResetDoneMail(URL_OF_PRODUCT, ['google']),
  'sign-in-method-added': () => signInMethodAddedMail(URL_OF_PRODUCT, 'google'),
  'sign-in-method-removed': () => signInMethodRemovedMail(URL_OF_PRODUCT, 'google'),
  'verify-email': () => verifyEmailMail(URL_OF_PRODUCT, ...SAMPLE),
  'confirm-email-change': () => confirmEmailChangeMail(URL_OF_PRODUCT, ...SAMPLE),
  'confirm-network': () => confirmNetworkMail(URL_OF_PRODUCT, ...SAMPLE),
  'email-taken': () => emailTakenMail(URL_OF_PRODUCT),
  'email-change-requested': () => emailChangeRequestedMail(URL_OF_PRODUCT, SAMPLE[0]),
  'email-changed': () => emailChangedMail(URL_OF_PRODUCT, SAMPLE[0]),
  'email-change-undone': () => emailChangeUndoneMail(URL_OF_PRODUCT),
  'account-deleted': () => accountDeletedMail(),
};

/** @param port 0 for any free one */
export async function previewMails(port: number): Promise<{ url: string; close(): void }> {
  const server = http.createServer((request, response) => {
    const name = request.url?.slice(1) ?? '';
    const make = Object.hasOwn(MAILS, name) ? MAILS[name] : undefined;
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(make ? make().html : overview());
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
  return { url: `http://localhost:${(server.address() as AddressInfo).port}`, close: () => server.close() };
}

function overview(): string {
  const sections = Object.entries(MAILS).map(([name, make]) => {
    const { subject, text } = make();
    return `<h2>${escapeHtml(subject)} <small>${name}</small></h2>
<iframe src="/${name}" style="width:48%;height:26em;border:1px solid #ccc"></iframe>
<pre style="display:inline-block;width:48%;vertical-align:top;white-space:pre-wrap">${escapeHtml(text)}</pre>`;
  });
  return `<!doctype html><meta charset="utf-8"><title>Mails</title>${sections.join('\n')}`;
}
