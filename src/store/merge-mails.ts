export type MailState = 'waiting' | 'sending' | 'sent' | 'failed' | 'expired';

export type MailRecord = {
  /** In its Message-ID. */
  id: string;
  template: string;
  state: MailState;
  /** The time of the result, or of the request while the e-mail waits. */
  at: Date;
  attempts: number | null;
  messageId: string | null;
  /** The reply of the SMTP server. */
  response: string | null;
  /** The error of the last attempt. */
  error: string | null;
  nextAttemptAt: Date | null;
};

export type ForMails = {
  queued: {
    id: string;
    template: string;
    at: Date;
    attempts: number;
    error: string | null;
    deadAt: Date | null;
    nextAttemptAt: Date;
    isClaimed: boolean;
  };
  /** An audit event. */
  result: {
    type: 'mail_sent' | 'mail_expired' | 'mail_failed';
    at: Date;
    template: string;
    target: string;
    after: { messageId?: string; response?: string | null; attempts?: number } | null;
  };
};

const STATES = { mail_sent: 'sent', mail_expired: 'expired', mail_failed: 'failed' } as const;

/** The newest first. An e-mail that an operator sends again after a failure has two results, and the later one counts. */
export function mergeMails(queued: ForMails['queued'][], results: ForMails['result'][]): MailRecord[] {
  const mails = new Map<string, MailRecord>();
  for (const result of results.toSorted((a, b) => a.at.getTime() - b.at.getTime())) {
    const mail = ofResult(result);
    mails.set(mail.id, mail);
  }
  for (const row of queued) {
    const result = mails.get(row.id);
    mails.set(row.id, {
      ...ofQueued(row),
      ...(row.deadAt && result && { state: result.state, response: result.response }),
    });
  }
  return [...mails.values()].sort((a, b) => b.at.getTime() - a.at.getTime() || (a.id < b.id ? 1 : -1));
}

function ofResult({ type, at, template, target, after }: ForMails['result']): MailRecord {
  return {
    id: target.slice('mail:'.length),
    template,
    state: STATES[type],
    at,
    attempts: after?.attempts ?? null,
    messageId: after?.messageId ?? null,
    response: after?.response ?? null,
    error: null,
    nextAttemptAt: null,
  };
}

function ofQueued({
  id,
  template,
  at,
  attempts,
  error,
  deadAt,
  nextAttemptAt,
  isClaimed,
}: ForMails['queued']): MailRecord {
  const waiting = isClaimed ? 'sending' : 'waiting';
  return {
    ...{ id, template, attempts, error, messageId: null, response: null },
    state: deadAt ? 'failed' : waiting,
    at: deadAt ?? at,
    nextAttemptAt: deadAt ? null : nextAttemptAt,
  };
}
