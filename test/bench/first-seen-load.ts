// Verify of tokens that the server has not seen before: `node first-seen-load.ts <port> <process id of the server> <seconds> [--repeat]`
// prints the rate and the processor time of the server. The environment is that of the service. With --repeat it sends one token, to
// compare this load with that of h2load.
import { randomUUID } from 'node:crypto';
import { create, toBinary } from '@bufbuild/protobuf';
import { VerifyRequestSchema } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { processEnvironment } from '../../src/config/config.ts';
import { envelope } from '../support/raw.ts';
import { VERIFY_PATH } from './contenders.ts';
import { cpuMicroseconds } from './harness.ts';
import { openTokenIssuer } from './issue-tokens.ts';
import { openRawClient, type RawClient } from './raw-client.ts';

/** As with h2load. */
const [CONNECTIONS, STREAMS] = [4, 25];
/** More than a server verifies in a second. When they are used up, the measurement ends early. */
const TOKENS_PER_SECOND = 30_000;
const [port, pid, seconds] = process.argv.slice(2).map(Number) as [number, number, number];
const isRepeated = process.argv.includes('--repeat');

const issuer = await openTokenIssuer(processEnvironment());
const bodies: Buffer[] = [];
for (let n = 0; n < (isRepeated ? 1 : TOKENS_PER_SECOND * seconds); n += 1) {
  const accessToken = await issuer.issue(randomUUID(), randomUUID());
  bodies.push(envelope(toBinary(VerifyRequestSchema, create(VerifyRequestSchema, { accessToken }))));
}
await issuer.close();
const clients = await Promise.all(Array.from({ length: CONNECTIONS }, () => openRawClient(port, VERIFY_PATH)));

const cpuBefore = cpuMicroseconds(pid);
const startedAt = performance.now();
const end = startedAt + seconds * 1_000;
let [next, answered] = [0, 0];
await Promise.all(clients.flatMap((client) => Array.from({ length: STREAMS }, () => callUntilEnd(client))));
const elapsedSeconds = (performance.now() - startedAt) / 1_000;
const spent = cpuMicroseconds(pid) - cpuBefore;
for (const client of clients) client.close();
console.log(
  JSON.stringify({
    perSecond: answered / elapsedSeconds,
    cpuPerCall: spent / answered,
    busy: spent / (elapsedSeconds * 1e6),
  }),
);

function callUntilEnd(client: RawClient): Promise<void> {
  return new Promise((resolve) => {
    const call = () => {
      const body = bodies[isRepeated ? 0 : next++];
      if (!body || performance.now() > end) return resolve();
      client.call(body, () => {
        answered += 1;
        call();
      });
    };
    call();
  });
}
