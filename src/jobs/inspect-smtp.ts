import { TLSSocket } from 'node:tls';
import { parseConnectionUrl } from 'nodemailer/lib/shared';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import { connectionOptions, type MailerSettings } from './mailer.ts';
import { withoutAddresses } from './smtp-answer.ts';

export type SmtpSession = {
  greeting: string;
  heloName: string;
  /** `TLSv1.3`; null for cleartext. */
  tls: string | null;
  authMethods: string[];
  login: 'none' | 'accepted' | 'not tried';
  error: Error | null;
};

/** @param timeoutMs for the greeting and for each reply */
export async function inspectSmtp(settings: MailerSettings, timeoutMs: number): Promise<SmtpSession> {
  const { url, ...own } = connectionOptions(settings);
  const { auth, ...server } = parseConnectionUrl(url);
  let greeting = '';
  const connection = new SMTPConnection({
    ...own,
    ...server,
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    transactionLog: true,
    logger: serverLines((line) => {
      greeting ||= line;
    }),
  } as SMTPConnection.Options);
  const session = { heloName: connection.name, login: auth ? 'not tried' : 'none' } as SmtpSession;
  try {
    await connected(connection);
    readCapabilities(session, connection);
    if (auth) {
      await new Promise<void>((resolve, reject) => {
        connection.once('error', reject);
        connection.login(auth as SMTPConnection.AuthenticationType, (error) => (error ? reject(error) : resolve()));
      });
      session.login = 'accepted';
    }
    connection.quit();
    return { ...session, greeting, error: null };
  } catch (error) {
    connection.close();
    return { ...EMPTY, ...session, greeting, error: error as Error };
  }
}

const EMPTY = { tls: null, authMethods: [] };

function connected(connection: SMTPConnection): Promise<void> {
  return new Promise((resolve, reject) => {
    connection.once('error', reject);
    connection.once('end', () => reject(new Error('the server closed the connection')));
    connection.connect((error) => (error ? reject(error) : resolve()));
  });
}

/** The last reply is the one to EHLO, after STARTTLS where the server offers it. */
function readCapabilities(session: SmtpSession, connection: SMTPConnection): void {
  const { _socket: socket, lastServerResponse } = connection as { _socket: unknown; lastServerResponse?: unknown };
  const [, methods = ''] = /^250[ -]AUTH[ =](.*)$/im.exec(String(lastServerResponse)) ?? [];
  session.tls = socket instanceof TLSSocket ? socket.getProtocol() : null;
  session.authMethods = methods.split(/\s+/).filter((method) => method !== '');
}

function serverLines(onLine: (line: string) => void) {
  const log = (entry: { tnx?: string }, line: unknown) => {
    if (entry.tnx === 'server') onLine(withoutAddresses(String(line)));
  };
  return { level: () => {}, trace: log, debug: log, info: log, warn: log, error: log, fatal: log };
}
