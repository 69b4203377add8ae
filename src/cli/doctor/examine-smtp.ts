import type { Config } from '../../config.ts';
import { openMailer } from '../../jobs/mailer.ts';
import { type Finding, failure, ok } from './finding.ts';

export async function examineSmtp({ SMTP_URL: url, MAIL_FROM: from, mailSecurity }: Config): Promise<Finding> {
  const mailer = openMailer(url, from, mailSecurity);
  try {
    await mailer.verify();
    return ok('smtp', 'answers, and takes the login');
  } catch (error) {
    return failure('smtp', error, 'are SMTP_URL, its login and its port right?');
  } finally {
    mailer.close();
  }
}
