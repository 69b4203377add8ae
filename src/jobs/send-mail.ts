// Carries out one mail order. The worker, and not the call that asked for the mail, looks the account up and makes the
// token: the order holds no secret, and asking takes as long for an unknown account as for a known one.
import type { MailOrder } from '../domain/effect.ts';
import type { Email } from '../domain/email.ts';
import { formatResetToken } from '../domain/reset-token.ts';
import type { Store } from '../store/store.ts';
import type { Mailer } from './mailer.ts';
import type { MailContent } from './mails/layout.ts';
import { passwordChangedMail } from './mails/password-changed.ts';
import { passwordResetMail } from './mails/password-reset.ts';

export type MailDeps = {
  store: Pick<Store, 'outbox' | 'resets' | 'users'>;
  mailer: Mailer;
  resetTokenKey: Buffer;
  publicUrl: string;
  resetTtlSeconds: number;
  now: () => Date;
};

type Addressed = MailContent & { to: string };

/** Sends the mail of an outbox row and takes the row away. Does nothing when that has been done. */
export async function sendMail(deps: MailDeps, outboxId: string): Promise<void> {
  const row = await deps.store.outbox.mail(outboxId);
  if (!row) return;
  const mail = await compose(deps, outboxId, row.order);
  if (mail) await deps.mailer.send({ id: outboxId, ...mail });
  await deps.store.outbox.done(outboxId);
}

/** Null when there is nobody to write to. */
async function compose(deps: MailDeps, outboxId: string, order: MailOrder): Promise<Addressed | null> {
  switch (order.template) {
    case 'password-reset':
      return composeReset(deps, outboxId, order.email as Email);
    case 'password-changed': {
      const found = await deps.store.users.credentialsById(order.userId);
      return found && { to: found.user.email, ...passwordChangedMail(found.user.fullName, deps.publicUrl) };
    }
  }
}

/** The reset's id is the row's, so that a second attempt sends the same token. */
async function composeReset(deps: MailDeps, outboxId: string, email: Email): Promise<Addressed | null> {
  const { resetTtlSeconds, publicUrl } = deps;
  const reset = await deps.store.resets.open(outboxId, email, deps.now(), resetTtlSeconds);
  if (!reset) return null;
  const token = formatResetToken(reset.id, deps.resetTokenKey);
  return { to: reset.email, ...passwordResetMail(reset.fullName, publicUrl, token, resetTtlSeconds) };
}
