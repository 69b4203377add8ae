import { createTransport } from 'nodemailer';

export type Mail = {
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
  close(): void;
};

/** The server has refused this mail for good. */
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
        throw isPermanent(error) ? new UndeliverableMail(describe(error), { cause: error }) : error;
      }
    },
    close: () => transport.close(),
  };
}

/** A 5xx answer to the envelope or the message (RFC 5321 section 4.2.1); a refused login is a matter of configuration. */
function isPermanent(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error) || !('responseCode' in error)) return false;
  return (error.code === 'EENVELOPE' || error.code === 'EMESSAGE') && Number(error.responseCode) >= 500;
}

/** What the server said, for the operator who looks at a dead letter. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error';
  const { code, response } = error as { code?: unknown; response?: unknown };
  return [code, response ?? error.message].filter((part) => part !== undefined).join(': ');
}
