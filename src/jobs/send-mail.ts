// Carries out one mail order. The worker, and not the call that asked for the mail, looks the account up and makes the
// token: the order holds no secret, and asking takes as long for an unknown account as for a known one.
import type { Email } from '../domain/email.ts';
import { formatResetToken } from '../domain/reset-token.ts';
import type { MailRow } from '../store/outbox.ts';
import type { Store } from '../store/store.ts';
import { type Mailer, UndeliverableMail } from './mailer.ts';
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
  const mail = await compose(deps, outboxId, row);
  if (mail) await deps.mailer.send({ id: outboxId, ...mail });
  await deps.store.outbox.done(outboxId);
}

/** Null when there is nobody to write to. */
async function compose(deps: MailDeps, outboxId: string, { order, createdAt }: MailRow): Promise<Addressed | null> {
  switch (order.template) {
    case 'password-reset':
      return composeReset(deps, outboxId, order.email as Email, createdAt);
    case 'password-changed': {
      const user = await deps.store.users.byId(order.userId);
      return user && { to: user.email, ...passwordChangedMail(deps.publicUrl) };
    }
  }
}

/** The reset's id is the row's, so that a second attempt sends the same token; its time runs from when it was asked for. */
async function composeReset(deps: MailDeps, outboxId: string, email: Email, askedAt: Date): Promise<Addressed | null> {
  const { resetTtlSeconds, publicUrl } = deps;
  const expiresAt = new Date(askedAt.getTime() + resetTtlSeconds * 1000);
  if (expiresAt <= deps.now()) throw new UndeliverableMail('the reset expired before its mail could be sent');
  const reset = await deps.store.resets.open(outboxId, email, deps.now(), expiresAt);
  if (!reset) return null;
  const token = formatResetToken(reset.id, deps.resetTokenKey);
  return { to: reset.email, ...passwordResetMail(publicUrl, token, expiresAt) };
}
