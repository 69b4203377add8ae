// The record of one row: each operation that a client carried out, each attempt at it, and each answer that no client may get.
import { randomUUID } from 'node:crypto';
import { createTally, type Tally } from './tally.ts';

export type Kind = 'Register' | 'Login' | 'Refresh' | 'Logout' | 'RequestReset' | 'ChangePassword' | 'GrantRole';

/** `unknown`: the answer was lost, or says that the call may have been carried out. `unsent`: the service never received it. */
export type Outcome = 'acknowledged' | 'refused' | 'unknown' | 'unsent';

type Attempt = { requestId: string; outcome: Outcome };

export type Operation = {
  kind: Kind;
  /** By which its rows in the database and its mails are found. */
  email: string;
  userId?: string;
  sessionId?: string;
  attempts: Attempt[];
  /** The service has told the client that it was done, by whatever answer. */
  isAcknowledged: boolean;
};

/** The longest time after its acknowledged end at which a token was accepted, and by which verifier. */
type LateAcceptance = { verifier: string; afterMs: number };

export type Ledger = {
  /** All request ids of the row begin with it. */
  prefix: string;
  operations: Operation[];
  /** When each server accepted a token from its own knowledge, on the clock of `performance.now()`. */
  acceptances: { server: string; at: number }[];
  lateAcceptances: LateAcceptance[];
  begin(kind: Kind, facts: { email: string; userId?: string; sessionId?: string }): Operation;
  newRequestId(): string;
  /** Some answer was INTERNAL, whose cause is in the log. */
  hasDefects(): boolean;
  /** Answers that a client who does everything right must not get. */
  wrong: Tally;
  /** Answers after which a client may repeat its call. */
  interruptions: Tally;
  /** Answers that say that a session or an account no longer is what the client was told. */
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
