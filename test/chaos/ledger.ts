// The record of one row: each operation of a client, each attempt at it, and each response that no client may get.
import { randomUUID } from 'node:crypto';
import { createTally, type Tally } from './tally.ts';

export type Kind = 'Register' | 'Login' | 'Refresh' | 'Logout' | 'RequestReset' | 'ChangePassword' | 'GrantRole';

/** `unknown`: the response was lost, or leaves open whether the call was carried out. `unsent`: the service never received it. */
export type Outcome = 'acknowledged' | 'refused' | 'unknown' | 'unsent';

type Attempt = { requestId: string; outcome: Outcome };

export type Operation = {
  kind: Kind;
  /** The key of its rows in the database and of its mails. */
  email: string;
  userId?: string;
  sessionId?: string;
  attempts: Attempt[];
  /** A response of the service has confirmed the operation. */
  isAcknowledged: boolean;
};

/** The longest time after its acknowledged end at which a token was accepted, and by which verifier. */
type LateAcceptance = { verifier: string; afterMs: number };

export type Ledger = {
  /** All request ids of the row begin with it. */
  prefix: string;
  operations: Operation[];
  /** When each server accepted a token without Postgres, on the clock of `performance.now()`. */
  acceptances: { server: string; at: number }[];
  lateAcceptances: LateAcceptance[];
  begin(kind: Kind, facts: { email: string; userId?: string; sessionId?: string }): Operation;
  newRequestId(): string;
  /** A response was INTERNAL; its cause is in the log. */
  hasDefects(): boolean;
  /** Responses that a correct client must not get. */
  wrong: Tally;
  /** Responses after which a client may repeat its call. */
  interruptions: Tally;
  /** Responses that contradict an earlier confirmed state of a session or an account. */
  signedOut: Tally;
};

export function createLedger(): Ledger {
  const prefix = `chaos.${randomUUID().slice(0, 8)}.`;
  const operations: Operation[] = [];
  const wrong = createTally();
  let requests = 0;
  return {
    prefix,
    operations,
    acceptances: [],
    lateAcceptances: [],
    wrong,
    hasDefects: () => wrong.sentences().some((sentence) => /INTERNAL|no reason/.test(sentence)),
    interruptions: createTally(),
    signedOut: createTally(),
    newRequestId: () => `${prefix}${++requests}`,
    begin(kind, facts) {
      const operation: Operation = { kind, ...facts, attempts: [], isAcknowledged: false };
      operations.push(operation);
      return operation;
    },
  };
}
