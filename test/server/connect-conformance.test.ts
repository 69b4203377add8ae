// Connect's conformance suite against Connect's handlers on src/http2, and on node:http by the seam of the service: Connect, gRPC and gRPC-Web over
// HTTP/1.1 and HTTP/2, in cleartext and over TLS, with and without client certificates.
import { beforeAll, expect, test } from 'vitest';
import { CONNECT_CONFORMANCE, type ConformanceOptions, runConformance } from '../support/connect-conformance.ts';
import { build, isAtHand } from '../support/toolchain.ts';

const BUILD_TIMEOUT_MS = 600_000;
const RUN_TIMEOUT_MS = 240_000;
/** The runner allows half a second between a request and the server's reading of its deadline. */
const DEADLINES = 'Deadline Propagation/**';

let hasGo: boolean;

beforeAll(async () => {
  hasGo = await isAtHand(CONNECT_CONFORMANCE);
  if (hasGo) await build(CONNECT_CONFORMANCE);
}, BUILD_TIMEOUT_MS);

async function expectAllToPass(cases: number, options: Omit<ConformanceOptions, 'timeoutMs'>): Promise<void> {
  const { log, ...report } = await runConformance({ ...options, timeoutMs: RUN_TIMEOUT_MS });
  expect(report, log).toEqual({ passed: cases, failures: [], unanswered: [] });
}

function withGo(name: string, check: () => Promise<void>): void {
  test(name, { timeout: RUN_TIMEOUT_MS + 10_000 }, async ({ skip }) => {
    if (!hasGo) skip('Go 1.26 is not installed');
    await check();
  });
}

withGo('passes every case of the conformance suite', () => expectAllToPass(3_488, { skip: [DEADLINES] }));

withGo('reads the deadline of every request', () => expectAllToPass(152, { run: [DEADLINES], parallel: 1 }));
