// The example page, used as a browser uses it.
import { expect, onTestFinished, test } from 'vitest';
import { freePort } from '../../src/dev/free-port.ts';
import { SERVICE_KEY, startTestApp } from '../support/app.ts';
import { eventually } from '../support/eventually.ts';
import { browse, CLIENT, startOpenIdServer } from '../support/openid-provider.ts';
import { run } from '../support/processes.ts';
import { rawConnection } from '../support/raw.ts';

test('a user signs in with an account at an identity provider, and out again', async () => {
  const port = await freePort();
  const origin = `http://localhost:${port}`;
  const acme = await startOpenIdServer([`${origin}/callback`]);
  acme.account = { sub: 'grace', email: 'grace@people.example', email_verified: true, name: 'Grace <img src=x>' };
  const app = await startTestApp({
    OAUTH_PROVIDERS: 'acme',
    OAUTH_ACME_REDIRECT_URIS: `${origin}/callback`,
    OAUTH_ACME_ISSUER: acme.issuer,
    OAUTH_ACME_CLIENT_ID: CLIENT.id,
    OAUTH_ACME_CLIENT_SECRET: CLIENT.secret,
  });
  const example = run(
    process.execPath,
    ['--import', './test/support/client-from-source.mjs', 'examples/sign-in/sign-in.ts'],
    {
      LATCHKEY_URL: app.url,
      LATCHKEY_KEY: SERVICE_KEY,
      PROVIDER: 'acme',
      PORT: String(port),
    },
  );
  onTestFinished(async () => {
    example.child.kill();
    acme.close();
    await app.close();
  });
  await eventually(() => example.output().includes('sign in at'));

  expect(await (await fetch(origin)).text()).toContain('Sign in with acme');
  const odd = rawConnection(port, 'GET //[ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
  await odd.closed;
  expect(odd.received()).toContain('404');
  const started = await fetch(`${origin}/sign-in`, { redirect: 'manual' });
  const [binding] = started.headers.getSetCookie();
  expect(binding).toContain('HttpOnly');
  const query = await browse(started.headers.get('location') ?? '', `${origin}/callback`);
  const stranger = await fetch(`${origin}/callback?${query}`, { redirect: 'manual' });
  expect(stranger.status).toBe(400);
  const back = await fetch(`${origin}/callback?${query}`, {
    redirect: 'manual',
    headers: { cookie: binding?.split(';')[0] ?? '', 'user-agent': 'a browser of Grace' },
  });
  expect(back.status).toBe(302);
  const [spent, session] = back.headers.getSetCookie();
  expect(spent).toContain('Max-Age=0');
  const named = await app.owner.query("SELECT 1 FROM sessions WHERE user_agent = 'a browser of Grace'");
  expect(named.rowCount).toBe(1);
  const cookie = session?.split(';')[0] ?? '';
  expect(await (await fetch(origin, { headers: { cookie } })).text()).toContain(
    'Hello Grace &#60;img src=x&#62; (grace@people.example)',
  );
  await fetch(`${origin}/sign-out`, { redirect: 'manual', headers: { cookie } });
  expect(await (await fetch(origin, { headers: { cookie } })).text()).toContain('Sign in with acme');
});
