// The bounded load of one row: how its clients call the service, and how they repeat calls.
import { setTimeout as sleep } from 'node:timers/promises';
import type { DescMethodUnary, JsonValue } from '@bufbuild/protobuf';
import type { Latchkey } from '../../src/client/client.ts';
import { type Answer, callOnce, isTemporary } from './client.ts';
import type { Ledger, Operation, Outcome } from './ledger.ts';

export type Endpoint = { name: string; port: number; lossyPort: number };

export type Load = {
  ledger: Ledger;
  servers: [Endpoint, Endpoint];
  local: Pick<Latchkey, 'verify'>;
  /** Clients begin nothing new. */
  isStopping(): boolean;
  /** Clients abandon their work. */
  isOver(): boolean;
  /** Work that runs beside the clients and is awaited at the end. */
  beside(work: Promise<void>): void;
};

export type Call = {
  method: DescMethodUnary;
  input: JsonValue;
  bearer?: string;
  /** On a connection that is kept (the default), on one whose response may be lost, or on a new one. */
  way?: 'kept' | 'lossy' | 'fresh';
};

const REPEAT_AFTER_MS = 250;

/** One attempt of an operation at one server. */
export async function attempt(
  { ledger }: Pick<Load, 'ledger'>,
  operation: Operation,
  { endpoint, way = 'kept', ...call }: Call & { endpoint: Endpoint },
): Promise<Answer> {
  const requestId = ledger.newRequestId();
  const record: Operation['attempts'][number] = { requestId, outcome: 'unknown' };
  operation.attempts.push(record);
  const port = way === 'lossy' ? endpoint.lossyPort : endpoint.port;
  const answer = await callOnce(port, { ...call, requestId, alone: way !== 'kept' });
  record.outcome = outcomeOf(answer);
  if (answer.code === 'ok') operation.isAcknowledged = true;
  else if (isTemporary(answer)) ledger.interruptions.note(`${answer.code} ${answer.reason}`);
  return answer;
}

/** Repeats an operation, at either server, until a response is not temporary; null where the row ended first. */
export async function carryThrough(load: Load, operation: Operation, call: Call): Promise<Answer | null> {
  const first = Math.floor(Math.random() * 2);
  for (let n = 0; !load.isOver(); n += 1) {
    const endpoint = load.servers[(first + n) % 2] as Endpoint;
    const answer = await attempt(load, operation, { ...call, endpoint });
    if (!isTemporary(answer)) return answer;
    await sleep(REPEAT_AFTER_MS);
  }
  return null;
}

/** Records a response other than `ok` as wrong. Returns the body, or null. */
// biome-ignore lint/suspicious/noExplicitAny: answers of every method
export function expectOk({ ledger }: Pick<Load, 'ledger'>, operation: Operation, answer: Answer | null): any {
  if (!answer) return null;
  if (answer.code === 'ok') return answer.body;
  noteUnexpected(ledger, operation.kind, answer);
  return null;
}

/** A response that means that the client has no session, or none with this token. */
const SIGNED_OUT = [
  'TOKEN_INVALID',
  'TOKEN_REVOKED',
  'REFRESH_TOKEN_INVALID',
  'REFRESH_TOKEN_REUSED',
  'SESSION_ENDED',
  'SESSION_EXPIRED',
  'CREDENTIALS_INVALID',
  'USER_NOT_FOUND',
];

/** Reasons that are too general for a client. */
const EXPLAINED = ['no reason', 'INVALID_ARGUMENT', 'REQUEST_MALFORMED'];

export function noteUnexpected(
  ledger: Ledger,
  what: string,
  { code, reason, message = '' }: Pick<Answer, 'code' | 'reason' | 'message'>,
): void {
  const sentence = `${what}: ${code} ${reason}${EXPLAINED.includes(reason) ? ` "${message}"` : ''}`;
  if (SIGNED_OUT.includes(reason)) ledger.signedOut.note(sentence);
  else ledger.wrong.note(sentence);
}

function outcomeOf(answer: Answer): Outcome {
  if (answer.code === 'ok') return 'acknowledged';
  if (!answer.isSent) return 'unsent';
  return isTemporary(answer) || answer.reason === 'INTERNAL' ? 'unknown' : 'refused';
}
