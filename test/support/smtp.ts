// An SMTP server whose responses a test chooses.
import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';

export type StubbornSmtp = {
  url: string;
  /** Recipients of all attempts, in order, with repetitions. */
  asked: string[];
  delivered: { to: string; messageId: string; link: string; at: number }[];
  close(): Promise<void>;
};

/**
 * @param answer the SMTP code for the nth attempt (from 1) to send mail to this address; 250 accepts it
 * @param losesAnswer whether the nth mail for this address is delivered and yet answered with a failure
 */
export async function startStubbornSmtp(
  answer: (address: string, times: number) => number,
  losesAnswer: (address: string, times: number) => boolean = () => false,
): Promise<StubbornSmtp> {
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
        const link = /token=3D(lkp_\S+)|token=(lkp_\S+)/.exec(raw.replaceAll('=\r\n', ''))?.[0] ?? '';
        const address = session.envelope.rcptTo[0]?.address ?? '';
        delivered.push({ to: address, messageId, link, at: performance.now() });
        const isLost = losesAnswer(address, delivered.filter(({ to }) => to === address).length);
        callback(isLost ? Object.assign(new Error('lost'), { responseCode: 451 }) : null);
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
