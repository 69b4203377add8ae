// An SMTP server that answers as it is told.
import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';

export type StubbornSmtp = {
  url: string;
  /** Recipients it was asked to take mail for, in order, with repetitions. */
  asked: string[];
  delivered: { to: string; messageId: string }[];
  close(): Promise<void>;
};

/** @param answer the SMTP code for the nth time (from 1) that mail for this address is offered; 250 takes it */
export async function startStubbornSmtp(answer: (address: string, times: number) => number): Promise<StubbornSmtp> {
  const asked: string[] = [];
  const delivered: StubbornSmtp['delivered'] = [];
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    disableReverseLookup: true,
    onRcptTo({ address }, _session, callback) {
      asked.push(address);
      const code = answer(address, asked.filter((one) => one === address).length);
      if (code === 250) return callback();
      callback(Object.assign(new Error(`<${address}>: not now`), { responseCode: code }));
    },
    onData(stream, session, callback) {
      let raw = '';
      stream.on('data', (chunk) => {
        raw += chunk;
      });
      stream.on('end', () => {
        const messageId = /^Message-ID: (.*)$/im.exec(raw)?.[1]?.trim() ?? '';
        for (const { address } of session.envelope.rcptTo) delivered.push({ to: address, messageId });
        callback();
      });
    },
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `smtp://127.0.0.1:${(server.server.address() as AddressInfo).port}`,
    asked,
    delivered,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
