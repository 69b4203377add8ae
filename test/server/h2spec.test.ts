// Every case of h2spec against the service, in cleartext and over TLS.
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { startTestApp } from '../support/app.ts';
import { openCertificates } from '../support/certificates.ts';
import { describeFailure, H2SPEC, runH2spec } from '../support/h2spec.ts';
import { build, isAtHand } from '../support/toolchain.ts';

const CASES = 147;
const BUILD_TIMEOUT_MS = 300_000;

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
  test('passes every case of h2spec', { timeout: 120_000 }, async ({ skip }) => {
    if (!hasGo) skip('Go 1.26 is not installed');
    const app = await startTestApp(isTls ? await filesForTls() : {}, { api: true, worker: false });
    onTestFinished(() => app.close());
    const results = await runH2spec({ port: app.port, path: '/healthz', isTls });
    const failures = results.filter(({ outcome }) => outcome !== 'passed');
    expect(failures.map(describeFailure)).toEqual([]);
    expect(results).toHaveLength(CASES);
  });
});
