import type { MailerSettings } from '../../jobs/mailer.ts';
import { integer } from '../formats.ts';
import { type Keys, SERVICE, type Values, WORKER } from '../key.ts';
import { heloName, sender } from '../mail-formats.ts';
import { heloNameOf, smtpUrl, webUrl } from '../url-formats.ts';
import type { ProcessSettings } from './process.ts';

export const MAIL_KEYS = {
  PUBLIC_URL: {
    format: webUrl,
    isRequired: true,
    usedBy: SERVICE,
    help: 'The application that serves the links of e-mails: /reset-password, /verify-email, /confirm-network and /undo-email-change.',
  },
  SMTP_URL: {
    format: smtpUrl,
    isRequired: true,
    isSecret: true,
    usedBy: WORKER,
    help: 'The mail server; smtps:// uses TLS from the start, smtp:// uses STARTTLS.',
  },
  SMTP_HELO_NAME: {
    format: heloName,
    defaultText: 'host of PUBLIC_URL',
    usedBy: WORKER,
    help: 'The name that the worker sends in EHLO.',
  },
  MAIL_FROM: { format: sender, isRequired: true, usedBy: WORKER, help: 'The sender of e-mails.' },
  MAIL_RETRY_FOR_SECONDS: {
    format: integer(0, 30 * 86_400, 'seconds'),
    default: String(3 * 86_400),
    usedBy: WORKER,
    help: 'Time in which the delivery of an e-mail is tried again.',
  },
  JOB_BACKOFF_MS: {
    format: integer(1, 600_000, 'milliseconds'),
    default: '2000',
    usedBy: WORKER,
    help: 'Wait after the first failed attempt; it doubles up to an hour, or to 5 minutes for an e-mail with a link that works for an hour.',
  },
  RESET_TTL_SECONDS: {
    format: integer(60, 86_400, 'seconds'),
    default: '3600',
    usedBy: WORKER,
    help: 'Time in which a link to reset a password works.',
  },
  VERIFICATION_TTL_SECONDS: {
    format: integer(60, 7 * 86_400, 'seconds'),
    default: '3600',
    usedBy: WORKER,
    help: 'Time in which a link to verify an e-mail address works.',
  },
} as const satisfies Keys;

export type MailSettings = {
  publicUrl: string;
  mailer: MailerSettings;
  retryForMs: number;
  backoffMs: number;
  resetTtlSeconds: number;
  verificationTtlSeconds: number;
};

export function mailSettings(values: Values<typeof MAIL_KEYS>, process: ProcessSettings): MailSettings {
  const isProtected = process.environment === 'production' && !process.allowedCleartext.includes('smtp');
  return {
    publicUrl: values.PUBLIC_URL,
    mailer: {
      url: values.SMTP_URL,
      from: values.MAIL_FROM,
      security: isProtected ? 'required' : 'opportunistic',
      heloName: values.SMTP_HELO_NAME ?? heloNameOf(values.PUBLIC_URL),
    },
    retryForMs: values.MAIL_RETRY_FOR_SECONDS * 1000,
    backoffMs: values.JOB_BACKOFF_MS,
    resetTtlSeconds: values.RESET_TTL_SECONDS,
    verificationTtlSeconds: values.VERIFICATION_TTL_SECONDS,
  };
}
