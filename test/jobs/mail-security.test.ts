// The mailer in production, with real SMTP servers: with STARTTLS and without, with AUTH and without.
import type { AddressInfo } from 'node:net';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { inspectSmtp } from '../../src/jobs/inspect-smtp.ts';
import { createMailer, type MailerSettings, type MailSecurity } from '../../src/jobs/mailer.ts';
import { describe as describeFailure } from '../../src/jobs/smtp-answer.ts';
import { startTestApp } from '../support/app.ts';
import { type Certificates, openCertificates, type Pair } from '../support/certificates.ts';
import { auth, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { registered } from '../support/people.ts';

const FROM = { name: 'Product', address: 'no-reply@product.example' };
const PASSWORD = 'kd84hs02mzpq77';
const MAIL = { id: 'one', to: 'ada@example.com', subject: 'Hello', text: 'Hello', html: '<p>Hello</p>' };

let certificates: Certificates;
let authority: Pair;
let trusted: Pair;
const systemCertificates = getCACertificates();
beforeAll(async () => {
  certificates = await openCertificates();
  authority = certificates.make('authority', 'DNS:authority');
  trusted = certificates.make('localhost', 'DNS:localhost', authority);
  setDefaultCACertificates([...systemCertificates, authority.cert]);
});
afterAll(() => {
  setDefaultCACertificates(systemCertificates);
  certificates.remove();
});

/** `received` has the security of each mail; `users` has the logins. */
async function startSmtp(options: SMTPServerOptions) {
  const [received, users]: [string[], (string | undefined)[]] = [[], []];
  const server = new SMTPServer({
    authOptional: true,
    disableReverseLookup: true,
    onAuth({ username, password }, _session, callback) {
      users.push(username);
      callback(password === PASSWORD ? null : new Error('wrong password'), { user: username });
    },
    onData(stream, session, callback) {
      received.push(session.secure ? 'TLS' : 'cleartext');
      stream.resume().on('end', () => callback(null));
    },
    ...options,
  });
  server.on('error', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())));
  const { port } = server.server.address() as AddressInfo;
  return { received, users, url: (login = '', protocol = 'smtp') => `${protocol}://${login}localhost:${port}` };
}

async function send(url: string, security: MailSecurity = 'required'): Promise<string> {
  const settings: MailerSettings = { url, from: FROM, security, heloName: 'id.product.example' };
  // `doctor` has the same result as the worker.
  const { error } = await inspectSmtp(settings, 10_000);
  const mailer = createMailer(settings);
  const sending = await mailer.send(MAIL, new AbortController().signal).then(() => 'sent', describeFailure);
  mailer.close();
  return error === null ? sending : `${describeFailure(error)}; ${sending}`;
}

const withTls = () => ({ cert: trusted.cert, key: trusted.key });
const login = `mailer:${PASSWORD}@`;
const NO_AUTH = 'EAUTH: SMTP_URL has a user and a password, but the SMTP server offers no AUTH';

describe('a mailer in production', () => {
  test('sends by STARTTLS with its login', async () => {
    const smtp = await startSmtp({ ...withTls() });
    expect(await send(smtp.url(login))).toBe('sent');
    expect([smtp.received, new Set(smtp.users)]).toEqual([['TLS'], new Set(['mailer'])]);
  });

  test.each(['PLAIN', 'LOGIN', 'CRAM-MD5'])('logs in by %s', async (method) => {
    const smtp = await startSmtp({
      ...withTls(),
      authMethods: [method],
      ...(method === 'CRAM-MD5' && {
        onAuth: (given, _session, callback) =>
          callback(given.validatePassword?.(PASSWORD) ? null : new Error('wrong'), { user: given.username }),
      }),
    });
    expect(await send(smtp.url(login))).toBe('sent');
  });

  test('sends by smtps, and without a login when it has none', async () => {
    const smtp = await startSmtp({ ...withTls(), secure: true });
    expect(await send(smtp.url('', 'smtps'))).toBe('sent');
    expect([smtp.received, smtp.users]).toEqual([['TLS'], []]);
  });

  test('sends nothing to a server without STARTTLS', async () => {
    const smtp = await startSmtp({ hideSTARTTLS: true, disabledCommands: ['STARTTLS'] });
    expect(await send(smtp.url(login))).toMatch(/^ETLS: .*; ETLS: /);
    expect([smtp.received, smtp.users]).toEqual([[], []]);
  });

  test('sends by TLS to a server that hides STARTTLS, as an attacker in between would', async () => {
    const smtp = await startSmtp({ ...withTls(), hideSTARTTLS: true });
    expect(await send(smtp.url(login))).toBe('sent');
    expect(smtp.received).toEqual(['TLS']);
  });

  test('sends nothing to a server whose certificate is not trusted', async () => {
    const stranger = certificates.make('stranger', 'DNS:localhost');
    const smtp = await startSmtp({ cert: stranger.cert, key: stranger.key });
    expect(await send(smtp.url(login))).toMatch(/^ESOCKET: self-signed certificate/);
    expect([smtp.received, smtp.users]).toEqual([[], []]);
  });

  test('sends nothing, not even the password, to a server that offers no AUTH for its login', async () => {
    const smtp = await startSmtp({ ...withTls(), disabledCommands: ['AUTH'] });
    expect(await send(smtp.url(login))).toBe(`${NO_AUTH}; ${NO_AUTH}`);
    expect([smtp.received, smtp.users]).toEqual([[], []]);
  });

  test('reports a rejected login without the password', async () => {
    const smtp = await startSmtp({ ...withTls(), authMethods: ['PLAIN'] });
    const outcome = await send(smtp.url('mailer:another-password@'));
    expect(outcome).toMatch(/^EAUTH: .*wrong password/);
    expect(outcome).not.toContain('another-password');
  });
});

describe('a mailer outside production', () => {
  test('sends in cleartext to a server without STARTTLS', async () => {
    const smtp = await startSmtp({ disabledCommands: ['STARTTLS', 'AUTH'] });
    expect(await send(smtp.url(), 'opportunistic')).toBe('sent');
    expect(smtp.received).toEqual(['cleartext']);
  });

  test('sends nothing to a server that offers no AUTH for its login', async () => {
    const smtp = await startSmtp({ disabledCommands: ['STARTTLS', 'AUTH'] });
    expect(await send(smtp.url(login), 'opportunistic')).toBe(`${NO_AUTH}; ${NO_AUTH}`);
    expect(smtp.received).toEqual([]);
  });
});

test('in production an e-mail becomes a dead letter and is not sent in cleartext', async () => {
  const app = await startTestApp({ NODE_ENV: 'production', MAIL_RETRY_FOR_SECONDS: '1' });
  onTestFinished(() => app.close());
  const call = viaFetch(app.url);
  const { email } = await registered(call);
  await call(auth.requestReset, { email });
  const dead = await eventually(async () => {
    const { rows } = await app.owner.query(
      "SELECT last_error FROM outbox WHERE dead_at IS NOT NULL AND payload ->> 'email' = $1",
      [email],
    );
    return rows[0] as { last_error: string } | undefined;
  });
  expect(dead.last_error).toMatch(/^ETLS/);
  expect(app.mailbox.mails).toEqual([]);
});
