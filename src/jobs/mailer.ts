import { connect } from 'node:net';
import { createTransport } from 'nodemailer';
import type SMTPConnection from 'nodemailer/lib/smtp-connection';
import type SMTPPool from 'nodemailer/lib/smtp-pool';
import { isPermanent, UndeliverableMail } from './smtp-answer.ts';

type Mail = {
  /** The same in each attempt: the message id `<id@domain>` lets a mailbox drop a repeated e-mail. */
  id: string;
  to: string;
  subject: string;
  text: string;
  html: string;
};

export type SentMail = {
  messageId: string;
  response: string;
};

export type Mailer = {
  /** An aborted signal closes the connection. @throws UndeliverableMail when a retry cannot help, or another error */
  send(mail: Mail, signal: AbortSignal): Promise<SentMail>;
  close(): void;
};

/** `required`: TLS only, to a server with a verified certificate. `opportunistic`: TLS where the server offers it. */
export type MailSecurity = 'required' | 'opportunistic';

export type Sender = {
  name: string;
  /** With its domain in A-labels (RFC 5890). */
  address: string;
};

export type MailerSettings = {
  /** `smtp://user:password@host:587` (STARTTLS) or `smtps://...` */
  url: string;
  from: Sender;
  security: MailSecurity;
  heloName: string;
};

/** Covers the look-up of the host name and a connection to any of its addresses. */
const CONNECT_TIMEOUT_MS = 30_000;
/** The next address of the host is tried after this time. */
const ADDRESS_TIMEOUT_MS = 5_000;
/** RFC 5321 section 4.5.3.2.1. */
const GREETING_TIMEOUT_MS = 5 * 60_000;
/** RFC 5321 section 4.5.3.2.6, after the final dot: the longest, because nodemailer has one time-out for all commands. */
const ANSWER_TIMEOUT_MS = 10 * 60_000;
/** An idle connection is closed before a firewall can drop it silently. */
const IDLE_TIMEOUT_MS = 30_000;
export const MAX_CONNECTIONS = 4;

export function createMailer(settings: MailerSettings): Mailer {
  const { from } = settings;
  const transport = createTransport({
    ...connectionOptions(settings),
    pool: true,
    maxConnections: MAX_CONNECTIONS,
    idleTimeout: IDLE_TIMEOUT_MS,
    getSocket: connectPromptly,
    disableFileAccess: true,
    disableUrlAccess: true,
  } as SMTPPool.Options);
  const domain = from.address.slice(from.address.lastIndexOf('@') + 1);

  return {
    async send({ id, to, ...content }, signal) {
      const message = {
        // nodemailer would parse a string as a list of addresses.
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

export function connectionOptions({
  url,
  security,
  heloName,
}: MailerSettings): SMTPConnection.Options & { url: string } {
  const { username = '', password = '' } = URL.parse(url) ?? {};
  return {
    url,
    name: heloName,
    connectionTimeout: CONNECT_TIMEOUT_MS + GREETING_TIMEOUT_MS,
    greetingTimeout: GREETING_TIMEOUT_MS,
    socketTimeout: ANSWER_TIMEOUT_MS,
    ...(security === 'required' && { requireTLS: true }),
    // A rejected login is an error. The e-mail must not be sent without one.
    ...(`${username}${password}` !== '' && { forceAuth: true, customAuth: { PLAIN: logIn } }),
  } as SMTPConnection.Options & { url: string };
}

function connectPromptly(
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
 * RFC 4616. nodemailer also uses AUTH PLAIN when the server offers no method. Such a server must not receive the
 * password, and e-mail that is sent without a login can be lost as spam.
 */
async function logIn({ auth, authMethods, sendCommand }: SMTPConnection.CustomAuthenticationContext): Promise<void> {
  if (authMethods.length === 0) {
    throw new Error('SMTP_URL has a user and a password, but the SMTP server offers no AUTH');
  }
  const { user, pass } = auth.credentials;
  const response = await sendCommand(`AUTH PLAIN ${Buffer.from(`\0${user}\0${pass}`).toString('base64')}`);
  if (response.status !== 235) throw new Error(`the SMTP server rejects the login of SMTP_URL: ${response.text}`);
}
