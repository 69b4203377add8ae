// Postgres keeps the schedule and the claims, and BullMQ only spreads the attempts. An e-mail that the server has
// accepted is not sent again because another part was slow.

import { backoffMs as delayAfter } from '../async/backoff.ts';
import { pause } from '../async/pause.ts';
import { waitAtMost } from '../async/wait-at-most.ts';
import type { AuditEvent } from '../domain/audit-event.ts';
import type { AuditType } from '../domain/audit-event-types.ts';
import type { Log } from '../process/log.ts';
import type { LogFields } from '../process/log-fields.ts';
import type { ClaimedMail } from '../store/mail-orders.ts';
import type { Store } from '../store/store.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { type ComposeDeps, composeMail, ExpiredMail, isUrgent } from './compose-mail.ts';
import type { Mailer, SentMail } from './mailer.ts';
import { answerOf, describe, UndeliverableMail, withoutAddresses } from './smtp-answer.ts';

export type MailAttemptsDeps = ComposeDeps & {
  store: Pick<Store, 'mailOrders' | 'outbox'>;
  mailer: Pick<Mailer, 'send'>;
  /** The wait after the first attempt. It doubles with each attempt. */
  backoffMs: number;
  /** An e-mail that has failed for this long becomes a dead letter. */
  mailRetryForMs: number;
  metrics: Pick<Metrics, 'jobEnded'>;
};

export type MailAttempts = {
  /** Does nothing when the e-mail is sent or given up, or when another worker has claimed it. */
  attempt(outboxId: string): Promise<void>;
  /**
   * Waits this long for attempts, then closes their connections. The unsent e-mails are due at once for the next
   * worker.
   */
  close(graceMs: number): Promise<void>;
};

type About = { claimed: ClaimedMail; userId: string | undefined };

/** A worker that does not renew its claim within this time has died. */
const CLAIM_MS = 30_000;
const RENEW_MS = 10_000;
/** Longer than all time-outs of one SMTP session. Stops a server that sends a few bytes now and then. */
const MAX_ATTEMPT_MS = 40 * 60_000;
const MAX_WAIT_MS = 3_600_000;
/** For e-mails that are useless after an hour. */
const MAX_URGENT_WAIT_MS = 5 * 60_000;
/** If Postgres is unavailable for longer, a sent e-mail counts as failed and is sent again. */
const RECORD_FOR_MS = 10 * 60_000;
const RECORD_AGAIN_MS = 1_000;
const RELEASE_MS = 3_000;

export function createMailAttempts(deps: MailAttemptsDeps, log: Log): MailAttempts {
  const stop = new AbortController();
  const underWay = new Set<Promise<void>>();
  let isClosing = false;

  return {
    async attempt(outboxId) {
      if (isClosing) return deps.store.outbox.putBack([outboxId]);
      const attempting = attemptMail(deps, log, outboxId, stop.signal);
      underWay.add(attempting);
      try {
        await attempting;
      } finally {
        underWay.delete(attempting);
      }
    },
    async close(graceMs) {
      isClosing = true;
      const finished = Promise.allSettled(underWay);
      await waitAtMost(graceMs, finished);
      stop.abort();
      await waitAtMost(RELEASE_MS, finished);
    },
  };
}

async function attemptMail(deps: MailAttemptsDeps, log: Log, outboxId: string, stop: AbortSignal): Promise<void> {
  const { mailOrders } = deps.store;
  const claimed = await mailOrders.claim(outboxId, CLAIM_MS);
  if (claimed === null) return;
  const renewal = setInterval(() => {
    mailOrders
      .renew(claimed, CLAIM_MS)
      .catch((err: unknown) => log.warn({ err, outbox_id: outboxId }, 'claim of a mail'));
  }, RENEW_MS);
  const about: About = { claimed, userId: 'userId' in claimed.order ? claimed.order.userId : undefined };
  try {
    const mail = await composeMail(deps, claimed);
    if (mail === null) await drop(deps, log, about);
    else {
      const { userId, ...addressed } = mail;
      about.userId = userId;
      const signal = AbortSignal.any([stop, AbortSignal.timeout(MAX_ATTEMPT_MS)]);
      const sent = await deps.mailer.send({ id: outboxId, ...addressed }, signal);
      await noteSent({ deps, log, stop }, about, sent);
    }
  } catch (error) {
    const note = () => (stop.aborted ? noteInterrupted(deps, log, about) : noteFailed(deps, log, about, error));
    await untilRecorded(note, stop).catch((err: unknown) => {
      const message = 'the outcome of an attempt cannot be recorded: the mail is retried when its claim has expired';
      log.warn({ ...fieldsOf(about), err }, message);
    });
  } finally {
    clearInterval(renewal);
  }
}

async function noteInterrupted({ store }: MailAttemptsDeps, log: Log, about: About): Promise<void> {
  await store.mailOrders.release(about.claimed);
  log.info(fieldsOf(about), 'mail not sent before this worker stopped: the next worker sends it at once');
}

async function drop({ store, metrics, now }: MailAttemptsDeps, log: Log, about: About): Promise<void> {
  await store.mailOrders.finish(about.claimed, now(), null);
  metrics.jobEnded('mail', 'done');
  log.info(fieldsOf(about), 'mail not sent: the account no longer exists, or no longer needs it');
}

async function noteSent(
  { deps, log, stop }: { deps: MailAttemptsDeps; log: Log; stop: AbortSignal },
  about: About,
  sent: SentMail,
): Promise<void> {
  const { messageId } = sent;
  const response = withoutAddresses(sent.response);
  const at = deps.now();
  const event = eventOf('mail_sent', about, { messageId, response });
  await untilRecorded(() => deps.store.mailOrders.finish(about.claimed, at, event), stop);
  deps.metrics.jobEnded('mail', 'done');
  log.info({ ...fieldsOf(about), message_id: messageId, smtp_answer: response }, 'mail sent');
}

async function noteFailed(deps: MailAttemptsDeps, log: Log, about: About, error: unknown): Promise<void> {
  const { store, metrics, now } = deps;
  const { claimed } = about;
  const [description, answered] = [describe(error), answerOf(error)];
  const answer = answered?.answer ?? null;
  const smtpFields = answered && { smtp_command: answered.command, smtp_answer: answered.answer ?? undefined };
  const fields = { ...fieldsOf(about), ...smtpFields, err: error };
  const event = (type: AuditType) => eventOf(type, about, { attempts: claimed.attempt, response: answer });
  if (error instanceof ExpiredMail) {
    await store.mailOrders.giveUp(claimed, description, { at: now(), event: event('mail_expired') });
    metrics.jobEnded('mail', 'dead');
    log.error(fields, 'mail not sent, because its token expired first: dead letter');
    return;
  }
  if (error instanceof UndeliverableMail) {
    await store.mailOrders.giveUp(claimed, description, { at: now(), event: event('mail_failed') });
    metrics.jobEnded('mail', 'dead');
    log.error(fields, 'mail rejected permanently: dead letter');
    return;
  }
  const waitMs = waitAfter(claimed, deps.backoffMs);
  const schedule = { error: description, waitMs, retryForMs: deps.mailRetryForMs };
  const isGivenUp = await store.mailOrders.postpone(claimed, schedule, { at: now(), event: event('mail_failed') });
  metrics.jobEnded('mail', isGivenUp ? 'dead' : 'failed');
  if (isGivenUp) log.error(fields, 'mail failed for as long as MAIL_RETRY_FOR_SECONDS allows: dead letter');
  else log.warn({ ...fields, retry_ms: waitMs }, 'mail not sent, will be tried again');
}

/** With random variation, so that e-mails that failed together are not retried together. */
function waitAfter({ attempt, order }: ClaimedMail, backoffMs: number): number {
  const ceiling = isUrgent(order) ? MAX_URGENT_WAIT_MS : MAX_WAIT_MS;
  return Math.round(delayAfter({ firstMs: backoffMs, maxMs: ceiling }, attempt - 1) * (0.9 + 0.2 * Math.random()));
}

/** Another attempt would send the e-mail twice, or wait until the claim expires. */
async function untilRecorded(record: () => Promise<void>, stop: AbortSignal): Promise<void> {
  const deadline = performance.now() + RECORD_FOR_MS;
  for (;;) {
    try {
      return await record();
    } catch (error) {
      if (performance.now() > deadline || stop.aborted) throw error;
      await pause(RECORD_AGAIN_MS, stop);
    }
  }
}

function fieldsOf({ claimed: { id, attempt, order }, userId }: About): LogFields {
  const user = userId !== undefined && { user_id: userId };
  return { outbox_id: id, topic: 'mail', template: order.template, attempt, ...user };
}

function eventOf(type: AuditType, { claimed: { id, order }, userId }: About, after: object): AuditEvent {
  return {
    type,
    ...(userId !== undefined && { userId }),
    detail: order.template,
    target: `mail:${id}`,
    after,
    origin: { address: '', userAgent: '', requestId: '' },
  };
}
