import { createTransport } from 'nodemailer';

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

const CONNECT_TIMEOUT_MS = 10_000;
const SOCKET_TIMEOUT_MS = 20_000;
const MAX_CONNECTIONS = 4;

/** @param url `smtp://user:password@host:587` (STARTTLS where offered) or `smtps://...` */
export function openMailer(url: string, from: string): Mailer {
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
