// A mailbox for development and tests: an SMTP server that accepts every e-mail, and a page that shows them.
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import PostalMime from 'postal-mime';
import { SMTPServer } from 'smtp-server';
import { listPage, mailPage } from './mailbox-pages.ts';
import type { ReceivedMail } from './received-mail.ts';

export type Mailbox = {
  smtpUrl: string;
  /** The page. `/api/mails` returns the e-mails as JSON. */
  url: string;
  mails: ReceivedMail[];
  close(): Promise<void>;
};

export type MailboxOptions = {
  port: number;
  onMail(mail: ReceivedMail): void;
};

const KEPT_MAILS = 200;

export async function startMailbox({ port, onMail }: MailboxOptions): Promise<Mailbox> {
  const mails: ReceivedMail[] = [];
  let received = 0;

  const smtp = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    disableReverseLookup: true,
    onData(stream, _session, callback) {
      text(stream)
        .then(async (raw) => {
          const mail = await readMail(raw, ++received);
          mails.push(mail);
          if (mails.length > KEPT_MAILS) mails.shift();
          onMail(mail);
          callback();
        })
        .catch((error: Error) => callback(error));
    },
  });
  const web = createServer((request, response) => {
    // A page whose host name resolves to this address must not read e-mails (DNS rebinding).
    if (!/^(localhost|127\.0\.0\.1)(:\d+)?$/.test(request.headers.host ?? ''))
      return void response.writeHead(403).end();
    const path = request.url?.split('?', 1)[0] ?? '';
    const mail = mails.find(({ number }) => path === `/mails/${number}`);
    if (path === '/') send(response, 'text/html', listPage(mails));
    else if (mail) send(response, 'text/html', mailPage(mail));
    else if (path === '/api/mails') send(response, 'application/json', JSON.stringify(mails));
    else response.writeHead(404).end();
  });

  const smtpPort = await listen(smtp.server as Server, (ready) => smtp.listen(0, '127.0.0.1', ready));
  const webPort = await listen(web, (ready) => web.listen(port, '127.0.0.1', ready));
  return {
    smtpUrl: `smtp://127.0.0.1:${smtpPort}`,
    url: `http://localhost:${webPort}`,
    mails,
    async close() {
      web.closeAllConnections();
      await Promise.all([
        new Promise<void>((resolve) => web.close(() => resolve())),
        new Promise<void>((resolve) => smtp.close(resolve)),
      ]);
    },
  };
}

async function readMail(raw: string, number: number): Promise<ReceivedMail> {
  const mail = await PostalMime.parse(raw);
  const body = mail.text ?? '';
  return {
    number,
    receivedAt: new Date(),
    to: mail.to?.map(({ address }) => address).join(', ') ?? '',
    subject: mail.subject ?? '',
    messageId: mail.messageId ?? '',
    text: body,
    html: mail.html ?? '',
    link: /https?:\/\/\S+/.exec(body)?.[0] ?? null,
  };
}

function listen(server: Server, start: (ready: () => void) => void): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    start(() => resolve((server.address() as AddressInfo).port));
  });
}

function send(response: ServerResponse, type: string, body: string): void {
  response.writeHead(200, { 'content-type': `${type}; charset=utf-8`, 'cache-control': 'no-store' }).end(body);
}
