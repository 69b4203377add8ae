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
  /** Clients give up what they began. */
  isOver(): boolean;
  /** Work that goes on beside the clients and is waited for at the end. */
  beside(work: Promise<void>): void;
};

export type Call = { method: DescMethodUnary; input: JsonValue; bearer?: string };

const REPEAT_AFTER_MS = 250;

/** One attempt of an operation at one server. */
export async function attempt(
  { ledger }: Pick<Load, 'ledger'>,
  operation: Operation,
  endpoint: Pick<Endpoint, 'port' | 'lossyPort'>,
  call: Call,
  isLossy = false,
): Promise<Answer> {
  const requestId = ledger.newRequestId();
  const record: Operation['attempts'][number] = { requestId, outcome: 'unknown' };
  operation.attempts.push(record);
  const port = isLossy ? endpoint.lossyPort : endpoint.port;
  const answer = await callOnce(port, { ...call, requestId, alone: isLossy });
  record.outcome = outcomeOf(answer);
  if (answer.code === 'ok') operation.isAcknowledged = true;
  else if (isTemporary(answer)) ledger.interruptions.note(`${answer.code} ${answer.reason}`);
  return answer;
}

/**
 * Repeats an operation, at either server, until it gets an answer that is not temporary.
 * @param isLossy whether answers may be lost on their way
 * @returns null where the row ended first
 */
export async function carryThrough(
  load: Load,
  operation: Operation,
  call: Call,
  isLossy = false,
): Promise<Answer | null> {
  const first = Math.floor(Math.random() * 2);
  for (let n = 0; !load.isOver(); n += 1) {
    const answer = await attempt(load, operation, load.servers[(first + n) % 2] as Endpoint, call, isLossy);
    if (!isTemporary(answer)) return answer;
    await sleep(REPEAT_AFTER_MS);
  }
  return null;
}

/** Notes an answer other than `ok` as wrong. Returns the body, or null. */
// biome-ignore lint/suspicious/noExplicitAny: answers of every method
export function expectOk({ ledger }: Pick<Load, 'ledger'>, operation: Operation, answer: Answer | null): any {
  if (!answer) return null;
  if (answer.code === 'ok') return answer.body;
  noteUnexpected(ledger, operation.kind, answer);
  return null;
}

/** One that says that the client has no session, or none with this token. */
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

export function noteUnexpected(ledger: Ledger, what: string, { code, reason }: Pick<Answer, 'code' | 'reason'>): void {
  const sentence = `${what}: ${code} ${reason}`;
  if (SIGNED_OUT.includes(reason)) ledger.signedOut.note(sentence);
  else ledger.wrong.note(sentence);
}

function outcomeOf(answer: Answer): Outcome {
  if (answer.code === 'ok') return 'acknowledged';
  if (!answer.isSent) return 'unsent';
  return isTemporary(answer) || answer.reason === 'INTERNAL' ? 'unknown' : 'refused';
}
