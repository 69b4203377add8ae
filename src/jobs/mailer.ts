// The one way out for mail: a pool of SMTP connections, with the time-outs of RFC 5321 and a name that servers accept.
import { connect } from 'node:net';
import { createTransport } from 'nodemailer';
import type SMTPConnection from 'nodemailer/lib/smtp-connection';
import type SMTPPool from 'nodemailer/lib/smtp-pool';
import { isPermanent, UndeliverableMail } from './smtp-answer.ts';

type Mail = {
  /** The same for each attempt at the same mail: `<id@domain>` lets a mailbox drop a repeated one. */
  id: string;
  to: string;
  subject: string;
  text: string;
  html: string;
};

export type SentMail = {
  messageId: string;
  /** The server's answer to the message. */
  response: string;
};

export type Mailer = {
  /**
   * @param signal ends the connection of this mail
   * @throws UndeliverableMail when trying again cannot help; anything else when it may
   */
  send(mail: Mail, signal: AbortSignal): Promise<SentMail>;
  close(): void;
};

/** `required`: only over TLS, to a server whose certificate is verified. `opportunistic`: TLS where it is offered. */
export type MailSecurity = 'required' | 'opportunistic';

export type Sender = {
  /** Empty for none. */
  name: string;
  /** Its domain in A-labels. */
  address: string;
};

export type MailerSettings = {
  /** `smtp://user:password@host:587` (STARTTLS) or `smtps://...` */
  url: string;
  from: Sender;
  security: MailSecurity;
  /** This client's name in EHLO. */
  heloName: string;
};

/** Covers the look-up of the host's name and a connection to any of its addresses. */
const CONNECT_TIMEOUT_MS = 30_000;
/** When one address of the host does not answer, the next one is tried after this long. */
const ADDRESS_TIMEOUT_MS = 5_000;
/** RFC 5321 section 4.5.3.2.1. */
const GREETING_TIMEOUT_MS = 5 * 60_000;
/** RFC 5321 section 4.5.3.2.6, after the final dot. nodemailer has one time-out for all commands, and this is the longest. */
const ANSWER_TIMEOUT_MS = 10 * 60_000;
/** An idle connection is closed before a firewall could forget it without a word. */
const IDLE_TIMEOUT_MS = 30_000;
export const MAX_CONNECTIONS = 4;

export function openMailer(settings: MailerSettings): Mailer {
  const { from } = settings;
  const transport = createTransport({
    ...connectionOptions(settings),
    pool: true,
    maxConnections: MAX_CONNECTIONS,
    idleTimeout: IDLE_TIMEOUT_MS,
    getSocket: connectSoon,
    disableFileAccess: true,
    disableUrlAccess: true,
  } as SMTPPool.Options);
  const domain = from.address.slice(from.address.lastIndexOf('@') + 1);

  return {
    async send({ id, to, ...content }, signal) {
      const message = {
        // Objects, never strings to be parsed: an address is data.
        from,
        to: { name: '', address: to },
        messageId: `<${id}@${domain}>`,
        headers: { 'Auto-Submitted': 'auto-generated' }, // RFC 3834
        signal,
        ...content,
      };
      try {
        const { response } = await transport.sendMail(message);
        return { messageId: message.messageId, response };
      } catch (error) {
        throw isPermanent(error) ? new UndeliverableMail('rejected permanently', { cause: error }) : error;
      }
    },
    close: () => transport.close(),
  };
}

/** Everything that concerns a single connection. */
export function connectionOptions({
  url,
  security,
  heloName,
}: MailerSettings): SMTPConnection.Options & { url: string } {
  const { username = '', password = '' } = URL.parse(url) ?? {};
  return {
    url,
    name: heloName,
    // The greeting, too, must arrive within it.
    connectionTimeout: CONNECT_TIMEOUT_MS + GREETING_TIMEOUT_MS,
    greetingTimeout: GREETING_TIMEOUT_MS,
    socketTimeout: ANSWER_TIMEOUT_MS,
    ...(security === 'required' && { requireTLS: true }),
    // A login that the server does not take is an error, not a reason to send without one.
    ...(`${username}${password}` !== '' && { forceAuth: true, customAuth: { PLAIN: logIn } }),
  } as SMTPConnection.Options & { url: string };
}

/** Connects within half a minute: the long time-outs are for a server that has accepted the connection. */
function connectSoon(
  { host = 'localhost', port, secure }: SMTPConnection.Options,
  callback: (error: Error | null, socketOptions?: { connection: ReturnType<typeof connect> }) => void,
): void {
  const socket = connect({
    host,
    port: Number(port) || (secure ? 465 : 587),
    autoSelectFamilyAttemptTimeout: ADDRESS_TIMEOUT_MS,
  });
  const late = setTimeout(() => {
    const message = `no connection to the SMTP server within ${CONNECT_TIMEOUT_MS / 1000} seconds`;
    socket.destroy(Object.assign(new Error(message), { code: 'ETIMEDOUT' }));
  }, CONNECT_TIMEOUT_MS);
  const onError = (error: Error) => {
    clearTimeout(late);
    callback(error instanceof AggregateError ? error.errors[0] : error);
  };
  socket.once('error', onError).once('connect', () => {
    clearTimeout(late);
    socket.off('error', onError);
    callback(null, { connection: socket });
  });
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
  if (response.status !== 235) throw new Error(`the SMTP server rejects the login of SMTP_URL: ${response.text}`);
}
