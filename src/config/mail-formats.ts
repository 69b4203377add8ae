import { z } from 'zod';
import { parseEmail } from '../domain/email.ts';
import { InvalidValue } from '../domain/parse-fields.ts';
import type { Sender } from '../jobs/mailer.ts';
import { check } from './formats.ts';
import type { Format } from './key.ts';

const MAX_DISPLAY_NAME = 100;
const SENDER = 'an address such as no-reply@example.com or Acme Accounts <no-reply@example.com>';

export const sender: Format<Sender> = {
  text: SENDER,
  schema: z.string().transform((text, context): Sender => {
    const [, quoted, plain = '', inBrackets] =
      /^\s*(?:"((?:[^"\\]|\\.)*)"|([^"<>]*?))\s*<([^<>]*)>\s*$/s.exec(text) ?? [];
    const name = quoted?.replace(/\\(.)/gs, '$1') ?? plain;
    if (/\p{C}/u.test(name) || name.length > MAX_DISPLAY_NAME) {
      context.addIssue(
        `must have a display name of at most ${MAX_DISPLAY_NAME} characters, without control characters`,
      );
    }
    try {
      return { name, address: parseEmail(inBrackets ?? text.trim()) };
    } catch (error) {
      if (!(error instanceof InvalidValue)) throw error;
      context.addIssue(`must be ${SENDER}`);
      return z.NEVER;
    }
  }),
};

/** RFC 5321 section 4.1.1.1: a host name, or an address in brackets. */
export const heloName: Format<string> = check(
  'a host name such as mail.example.com, or an address in brackets such as [192.0.2.7]',
  z.string(),
  (text) =>
    text.length <= 255 &&
    /^(?:(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}|\[\d{1,3}(?:\.\d{1,3}){3}\]|\[IPv6:[0-9a-f:.]+\])$/i.test(
      text,
    ),
);
