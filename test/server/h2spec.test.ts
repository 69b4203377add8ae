// Every case of h2spec against the service, in cleartext and over TLS.
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { startTestApp } from '../support/app.ts';
import { openCertificates } from '../support/certificates.ts';
import { describeFailure, H2SPEC, runH2spec } from '../support/h2spec.ts';
import { build, isAtHand } from '../support/toolchain.ts';

const CASES = 147;
const BUILD_TIMEOUT_MS = 300_000;

/** Defects of node:http2. */
const KNOWN_FAILURES = [
  'http2/5.1/8', // ignores DATA after RST_STREAM
  'http2/5.1/9', // ignores HEADERS after RST_STREAM
  'http2/5.1/11', // ignores DATA on a closed stream
  'http2/5.1/12', // ignores HEADERS on a closed stream
  'http2/5.1.1/2', // ignores a stream whose ID is smaller than the one before
  'http2/5.3.1/2', // ignores PRIORITY of a stream that depends on itself
  'http2/6.3/1', // ignores PRIORITY on stream 0
  'http2/6.7/2', // closes the connection after an acknowledgement of PING that it did not request
  'http2/6.9.1/3', // closes the connection, not the stream whose window is too large
];

let hasGo: boolean;

beforeAll(async () => {
  hasGo = await isAtHand(H2SPEC);
  if (hasGo) await build(H2SPEC);
}, BUILD_TIMEOUT_MS);

async function filesForTls() {
  const certificates = await openCertificates();
  onTestFinished(() => certificates.remove());
  const { certFile, keyFile } = certificates.make('server', 'DNS:localhost,IP:127.0.0.1');
  return { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile };
}

describe.each([
  { name: 'in cleartext', isTls: false },
  { name: 'over TLS', isTls: true },
])('HTTP/2 $name', ({ isTls }) => {
  test('passes every case of h2spec but the known ones', { timeout: 120_000 }, async ({ skip }) => {
    if (!hasGo) skip('Go 1.26 is not installed');
    const app = await startTestApp(isTls ? await filesForTls() : {}, { api: true, worker: false });
    onTestFinished(() => app.close());
    const results = await runH2spec({ port: app.port, path: '/healthz', isTls });
    const failures = results.filter(({ outcome }) => outcome !== 'passed');
    expect(failures.filter(({ id }) => !KNOWN_FAILURES.includes(id)).map(describeFailure)).toEqual([]);
    expect(failures.map(({ id }) => id)).toEqual(KNOWN_FAILURES);
    expect(results).toHaveLength(CASES);
  });
});
