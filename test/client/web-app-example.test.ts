// The web application of examples/web-app, used by a person in a real browser.
import type { Page } from 'playwright-core';
import { afterAll, expect, test } from 'vitest';
import { openBrowser } from '../support/browser.ts';
import { eventually } from '../support/eventually.ts';
import { newPerson } from '../support/people.ts';
import { sendRequest } from '../support/send-request.ts';
import { startWebAppExample } from '../support/web-app-example.ts';

const { app, site, problems, open, signUp, close } = await startWebAppExample();
afterAll(close);

const linkTo = (email: string, path: string) =>
  eventually(
    () =>
      app.mailbox.mails.findLast((mail) => mail.to === email && mail.link?.startsWith(`${site}${path}#`))?.link ??
      undefined,
  );

const heading = (page: Page) => page.textContent('h1');

test('a person signs up, confirms the address, changes it, resets the password and signs out', async (context) => {
  const browser = await openBrowser(context);
  const { email, password, page } = await signUp(browser);
  expect(await page.textContent('#email')).toBe(email);
  await eventually(async () => (await page.textContent('#roles')) === 'user');
  const cookies = await browser.cookies(site);
  expect(cookies.map(({ name, httpOnly, secure, sameSite }) => [name, httpOnly, secure, sameSite]).toSorted()).toEqual([
    ['__Host-access', true, true, 'Lax'],
    ['__Host-binding', true, true, 'Lax'],
    ['__Host-refresh', true, true, 'Lax'],
  ]);
  expect(await page.evaluate('document.cookie')).toBe('');

  const verify = await open(browser, await linkTo(email, '/verify-email'));
  await verify.click('button');
  await verify.waitForSelector('#done');
  await page.goto(`${site}/account`);
  expect(await page.textContent('main')).toContain('Your address is confirmed.');

  const newEmail = newPerson().email;
  await page.fill('[name=email]', newEmail);
  await page.click('text=Change the address');
  await page.fill('[name=password]', 'not the password');
  await page.click('text=Continue');
  expect(await page.textContent('#problem')).toBe('The current password is wrong.');
  await page.fill('[name=password]', password);
  await page.click('text=Continue');
  expect(await page.textContent('#problem')).toContain(`We sent a link to ${newEmail}`);
  const confirm = await open(browser, await linkTo(newEmail, '/verify-email'));
  await confirm.click('button');
  await confirm.waitForSelector('#done');
  await page.goto(site);
  expect(await page.textContent('#email')).toBe(newEmail);

  await page.goto(`${site}/forgot-password`);
  await page.fill('[name=email]', newEmail);
  await page.click('button');
  const reset = await open(browser, await linkTo(newEmail, '/reset-password'));
  const nextPassword = 'a much better pass phrase';
  await reset.fill('[name=password]', nextPassword);
  await reset.click('button');
  await reset.waitForSelector('#done');
  await page.goto(`${site}/account`);
  expect(page.url()).toBe(`${site}/sign-in?return=%2Faccount`);
  await page.fill('[name=email]', newEmail);
  await page.fill('[name=password]', password);
  await page.click('button');
  expect(await page.textContent('#problem')).toBe('The address or the password is wrong.');
  await page.fill('[name=password]', nextPassword);
  await page.click('button');
  await page.waitForURL(`${site}/account`);
  await page.goto(site);
  await page.click('text=Sign out');
  expect(await heading(page)).toBe('Welcome');
  expect((await browser.cookies(site)).map(({ name }) => name)).toEqual(['__Host-binding']);
  expect(problems).toEqual([]);
}, 120_000);

test('two tabs stay signed in when the access token expires, and a lost role closes a page at once', async (context) => {
  const browser = await openBrowser(context);
  const { email, page } = await signUp(browser);
  const second = await open(browser, site);
  await app.owner.query("INSERT INTO user_roles SELECT id, 'admin', now() FROM users WHERE email = $1", [email]);
  await eventually(async () => {
    await page.goto(`${site}/staff`);
    return (await heading(page)) === 'For our staff';
  });
  const before = (await browser.cookies(site)).find(({ name }) => name === '__Host-refresh')?.value;
  // As the browser does when the token expires.
  await browser.clearCookies({ name: '__Host-access' });
  await Promise.all([page.reload(), second.reload(), open(browser, `${site}/account`)]);
  expect([await heading(page), await heading(second)]).toEqual(['For our staff', 'Home']);
  const after = (await browser.cookies(site)).find(({ name }) => name === '__Host-refresh')?.value;
  expect(after).not.toBe(before);
  await app.owner.query(
    'DELETE FROM user_roles WHERE role = $1 AND user_id = (SELECT id FROM users WHERE email = $2)',
    ['admin', email],
  );
  await eventually(async () => {
    await page.reload();
    return (await page.textContent('main'))?.includes('This page is for our staff.');
  });
  await second.reload();
  await second.click('text=Sign out');
  await page.goto(`${site}/account`);
  expect(await heading(page)).toBe('Sign in');
}, 120_000);

test('the limits and the audit trail name the address and the browser of the user', async () => {
  const { email, password, fullName } = newPerson();
  const body = new URLSearchParams({ email, password, name: fullName }).toString();
  const headers = { 'content-type': 'application/x-www-form-urlencoded', origin: site, 'user-agent': 'A browser' };
  expect((await sendRequest(`${site}/sign-up`, { method: 'POST', headers, body })).status).toBe(303);
  const event = await eventually(async () => {
    const query = `SELECT address, user_agent FROM audit_events JOIN users ON users.id = user_id WHERE type = 'login_succeeded' AND email = $1`;
    return (await app.owner.query(query, [email])).rows[0];
  });
  expect(event.user_agent).toBe('A browser');
});

test.each([
  ['another site', { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }],
  ['a sibling', { origin: 'http://localhost:1', 'sec-fetch-site': 'same-site' }],
  ['no page', {}],
])('rejects a form of %s', async (_, from) => {
  const headers = { 'content-type': 'application/x-www-form-urlencoded', ...(from as Record<string, string>) };
  for (const path of ['/sign-in', '/sign-up', '/sign-out', '/account/email', '/verify-email', '/security/remove']) {
    const response = await sendRequest(`${site}${path}`, { method: 'POST', headers, body: 'email=a' });
    expect([path, response.status, response.headers.getSetCookie()]).toEqual([path, 403, []]);
  }
});

test.each(['//evil.example', 'https://evil.example', '/\\evil.example', '/x" onload="'])(
  'never returns to %s',
  async (target) => {
    const page = await sendRequest(`${site}/sign-in?return=${encodeURIComponent(target)}`);
    expect(await page.text()).toContain('name="return" value="/"');
  },
);
