// Verify at an average rate over gRPC, in a process of its own: `node latency.ts <port> <token> <calls a second> <seconds> [--spin]`
// prints the milliseconds of each call, from when it was due. The calls are due at random moments, as those of many independent clients,
// and at the same moments in each run. With --spin the process needs a core of its own, and sends each call when it is due. Without it
// a timer sends the calls of each millisecond.
import { create, toBinary } from '@bufbuild/protobuf';
import { VerifyRequestSchema } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { envelope } from '../support/raw.ts';
import { openRawClient } from './raw-client.ts';

const CONNECTIONS = 4;
/** More than any call that succeeds. */
const FAILED_MS = 1e6;
const [port, accessToken = '', rate, seconds] = process.argv.slice(2);
const body = envelope(toBinary(VerifyRequestSchema, create(VerifyRequestSchema, { accessToken })));
const clients = await Promise.all(
  Array.from({ length: CONNECTIONS }, () => openRawClient(Number(port), '/latchkey.auth.v1.AuthService/Verify')),
);

const dueAfterMs = arrivals(Number(rate), Number(rate) * Number(seconds));
const took: number[] = [];
const startedAt = performance.now();
let sent = 0;
const done = Promise.withResolvers<void>();

function sendDue(): void {
  const now = performance.now() - startedAt;
  for (; sent < dueAfterMs.length && (dueAfterMs[sent] as number) <= now; sent += 1) {
    const dueAt = startedAt + (dueAfterMs[sent] as number);
    const end = (milliseconds: number) => {
      took.push(milliseconds);
      if (took.length === dueAfterMs.length) done.resolve();
    };
    const onAnswer = () => end(performance.now() - dueAt);
    clients[sent % CONNECTIONS]?.call(body, onAnswer, () => end(FAILED_MS));
  }
  if (sent === dueAfterMs.length) return;
  if (process.argv.includes('--spin')) setImmediate(sendDue);
  else setTimeout(sendDue, 1);
}

sendDue();
await done.promise;
for (const client of clients) client.close();
console.log(JSON.stringify(took.map((ms) => Math.round(ms * 1_000) / 1_000)));

/** A Poisson process. */
function arrivals(perSecond: number, count: number): number[] {
  // A linear congruential generator (Numerical Recipes), always with the same seed.
  let state = 1;
  const random = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state + 1) / 2 ** 32;
  };
  let at = 0;
  return Array.from({ length: count }, () => {
    at -= (Math.log(random()) * 1_000) / perSecond;
    return at;
  });
}
