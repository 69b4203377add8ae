import { createTransport } from 'nodemailer';
import type SMTPConnection from 'nodemailer/lib/smtp-connection';

type Mail = {
  /** The same for each attempt at the same mail: `<id@domain>` lets a mailbox drop a repeated one. */
  id: string;
  to: string;
  subject: string;
  text: string;
  html: string;
};

export type Mailer = {
  /** @throws UndeliverableMail when trying again cannot help; anything else when it may */
  send(mail: Mail): Promise<void>;
  /** Whether the server answers and takes the login. @throws when not */
  verify(): Promise<void>;
  close(): void;
};

/** This mail cannot be delivered, however often it is tried. */
export class UndeliverableMail extends Error {}

/** `required`: over TLS with a verified server, and with the login of the URL if it has one. `opportunistic`: as offered. */
export type MailSecurity = 'required' | 'opportunistic';

const CONNECT_TIMEOUT_MS = 10_000;
const SOCKET_TIMEOUT_MS = 20_000;
const MAX_CONNECTIONS = 4;

/** @param url `smtp://user:password@host:587` (STARTTLS) or `smtps://...` */
export function openMailer(url: string, from: string, security: MailSecurity): Mailer {
  const { username = '', password = '' } = URL.parse(url) ?? {};
  const protection = { requireTLS: true, forceAuth: `${username}${password}` !== '', customAuth: { PLAIN: logIn } };
  const transport = createTransport({
    url,
    pool: true,
    maxConnections: MAX_CONNECTIONS,
    connectionTimeout: CONNECT_TIMEOUT_MS,
    greetingTimeout: CONNECT_TIMEOUT_MS,
    dnsTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SOCKET_TIMEOUT_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
    ...(security === 'required' && protection),
  });
  const domain = from.slice(from.lastIndexOf('@') + 1);

  return {
    async send({ id, to, ...content }) {
      const message = {
        from: { name: '', address: from },
        // An object, never a string to be parsed: an address is data.
        to: { name: '', address: to },
        messageId: `<${id}@${domain}>`,
        headers: { 'Auto-Submitted': 'auto-generated' }, // RFC 3834
        ...content,
      };
      try {
        await transport.sendMail(message);
      } catch (error) {
        throw isPermanent(error) ? new UndeliverableMail('refused for good', { cause: error }) : error;
      }
    },
    async verify() {
      await transport.verify();
    },
    close: () => transport.close(),
  };
}

/**
 * AUTH PLAIN (RFC 4616), which nodemailer falls back to when the server offers no method at all. A server that takes no
 * login must not get the password, and mail that is sent without one may be lost as spam.
 */
async function logIn({ auth, authMethods, sendCommand }: SMTPConnection.CustomAuthenticationContext): Promise<void> {
  if (authMethods.length === 0) {
    throw new Error('SMTP_URL has a user and a password, but the SMTP server offers no AUTH');
  }
  const { user, pass } = auth.credentials;
  const response = await sendCommand(`AUTH PLAIN ${Buffer.from(`\0${user}\0${pass}`).toString('base64')}`);
  if (response.status !== 235) throw new Error(`the SMTP server refuses the login of SMTP_URL: ${response.text}`);
}

/**
 * A 5xx answer to the recipient or to the message (RFC 5321 section 4.2.1). One to anything else, such as the login or the
 * sender, is a matter of configuration, which can be mended.
 */
function isPermanent(error: unknown): boolean {
  const { command, responseCode } = error as { command?: unknown; responseCode?: unknown };
  return (command === 'RCPT TO' || command === 'DATA') && Number(responseCode) >= 500;
}

/** What went wrong, with what the server said: for the operator who looks at a dead letter, not for the log. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error';
  const { code, response } = error as { code?: unknown; response?: unknown };
  const text = [code, response ?? error.message].filter((part) => part !== undefined).join(': ');
  return error.cause === undefined ? text : `${text} (${describe(error.cause)})`;
}
