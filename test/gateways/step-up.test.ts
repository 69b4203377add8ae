// A route that requires a strength, behind real gateways: RFC 9470's challenge reaches the client, and the strength the
// service.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { startTestApp, type TestApp } from '../support/app.ts';
import { portOf, type Received, startEchoService } from '../support/echo-service.ts';
import { GATEWAYS, startGateway } from '../support/gateway.ts';
import { bearer } from '../support/people.ts';
import { createCallers, type StrengthCallers } from '../support/strength-table.ts';

const closers: (() => unknown)[] = [];
let app: TestApp;
let tokens: StrengthCallers['tokens'];
let service: Awaited<ReturnType<typeof startEchoService>>;

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-policy-'));
  const file = join(folder, 'policy.yaml');
  writeFileSync(file, 'routes: [{ path: /, access: required }, { path: /transfers, acr: mfa, max_age: "600" }]');
  app = await startTestApp({ POLICY_FILE: file });
  service = await startEchoService();
  closers.push(
    () => rmSync(folder, { recursive: true }),
    () => app.close(),
    () => service.close(),
    () => service.closeAllConnections(),
  );
  ({ tokens } = await createCallers(app));
});
afterAll(async () => {
  for (const close of closers.reverse()) await close();
});

test.each(GATEWAYS)(
  '$name passes the challenge on, and the strength',
  async (gateway) => {
    const running = await startGateway(gateway, { latchkey: app.port, service: portOf(service) });
    onTestFinished(() => running.stop());
    const get = (path: string, token: string) => fetch(running.url + path, { headers: bearer(token) });

    const weak = await get('/transfers', tokens['a password, 10 s ago']);
    expect([weak.status, weak.headers.get('www-authenticate')]).toEqual([
      401,
      expect.stringMatching(
        /^Bearer realm="latchkey", error="insufficient_user_authentication", error_description="[^"]+", acr_values="mfa", max_age="600"$/,
      ),
    ]);
    expect((await get('/transfers', tokens['two factors, 700 s ago'])).status).toBe(401);
    expect((await get('/transfers', tokens['a token of a service'])).status).toBe(403);
    expect((await get('/orders', tokens['a password, 10 s ago'])).status).toBe(200);

    const strong = await get('/transfers', tokens['a passkey, 10 s ago']);
    expect(strong.status).toBe(200);
    const { headers } = (await strong.json()) as Received;
    const seen = Object.fromEntries(headers.map(([name, value]) => [name.toLowerCase(), value]));
    expect(seen).toMatchObject({ 'x-auth-acr': 'phr', 'x-auth-time': expect.stringMatching(/^[0-9]{10}$/) });
  },
  60_000,
);
