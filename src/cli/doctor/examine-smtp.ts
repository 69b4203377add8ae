import type { Config } from '../../config/config.ts';
import { inspectSmtp, type SmtpSession } from '../../jobs/inspect-smtp.ts';
import { describe } from '../../jobs/smtp-answer.ts';
import type { Finding } from './finding.ts';

/** Shorter than the time-outs of the worker, because an operator waits. */
const SMTP_TIMEOUT_MS = 30_000;

export async function examineSmtp({ mail }: Config): Promise<Finding> {
  const session = await inspectSmtp(mail.mailer, SMTP_TIMEOUT_MS);
  const details = partsOf(session).join('; ');
  if (session.error === null) return { check: 'smtp', state: 'ok', result: details, remedy: '' };
  const error = describe(session.error).split('\n', 1)[0];
  return {
    check: 'smtp',
    state: 'failed',
    result: session.greeting === '' ? `${error}; EHLO ${session.heloName} was not sent` : `${error}; ${details}`,
    remedy: remedyFor(session),
  };
}

function partsOf({ greeting, tls, authMethods, login, heloName }: SmtpSession): string[] {
  const logins = { none: 'no login in SMTP_URL', accepted: 'login accepted', 'not tried': 'login not accepted' };
  return [
    `greeting "${greeting}"`,
    tls === null ? 'no TLS' : `TLS by ${tls}`,
    authMethods.length === 0 ? 'no AUTH offered' : `AUTH ${authMethods.join(' ')} offered`,
    logins[login],
    `EHLO ${heloName}`,
  ];
}

function remedyFor({ greeting, authMethods, login, error }: SmtpSession): string {
  const { code } = error as { code?: string };
  if (greeting === '') return 'correct the host or the port of SMTP_URL, or open the firewall for this connection';
  if (code === 'ETLS' || code === 'ESOCKET') {
    return 'the server must offer TLS with a certificate for this host name; NODE_EXTRA_CA_CERTS adds a private CA';
  }
  if (login === 'not tried' && authMethods.length === 0) {
    return 'use the port and the protocol where the server offers AUTH (587, or smtps:// on 465), or remove the login';
  }
  if (code === 'EAUTH') return 'correct the user and the password of SMTP_URL, which must be percent-encoded';
  return 'allow this client at the SMTP server, or set SMTP_HELO_NAME to an EHLO name that the server accepts';
}
