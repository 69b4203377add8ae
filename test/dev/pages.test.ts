// The pages of `npm start`, in a real browser.
import type { BrowserContext, Page } from 'playwright-core';
import { afterAll, describe, expect, test } from 'vitest';
import { freePort } from '../../src/dev/free-port.ts';
import { createDevPages } from '../../src/dev/pages/dev-pages.ts';
import { startTestApp } from '../support/app.ts';
import { openBrowser } from '../support/browser.ts';
import { account, auth } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { newPerson, type Person, reauthenticated, registered, signedIn } from '../support/people.ts';

const port = await freePort();
const url = `http://localhost:${port}`;
const app = await startTestApp(
  { PORT: String(port), PUBLIC_URL: url, LIMIT_LOGIN_ACCOUNT: '1/60' },
  { api: true, worker: true },
  { pages: createDevPages({ apiUrl: url, mailboxUrl: 'http://localhost:8025', publicUrl: url }) },
);
afterAll(() => app.close());
const { call, mailbox } = app;

/** The link of the newest mail to this address. */
function linkTo(email: string, path: string): Promise<string> {
  return eventually(
    () =>
      mailbox.mails.findLast(({ to, link }) => to === email && link?.startsWith(`${url}${path}#`))?.link ?? undefined,
  );
}

async function openLink(browser: BrowserContext, link: string): Promise<Page> {
  const page = await browser.newPage();
  await page.goto(link);
  return page;
}

const statusOf = (page: Page) => page.locator('#status');
const canSignIn = async ({ email, password }: Pick<Person, 'email' | 'password'>) =>
  (await call(auth.login, { email, password })).code === 'ok';

describe('the pages behind the links of mails', () => {
  test('change an account as their mails promise', async (context) => {
    const browser = await openBrowser(context);
    const person = await registered(call);
    await call(auth.requestEmailVerification, { email: person.email });
    const verify = await openLink(browser, await linkTo(person.email, '/verify-email'));
    await verify.fill('[name=password]', 'not the password');
    await verify.click('button');
    await eventually(async () => (await statusOf(verify).getAttribute('class')) === 'bad');
    await verify.fill('[name=password]', person.password);
    await verify.click('button');
    await eventually(async () => (await statusOf(verify).textContent())?.startsWith('The address is confirmed.'));

    await call(auth.requestReset, { email: person.email });
    const reset = await openLink(browser, await linkTo(person.email, '/reset-password'));
    await reset.fill('[name=newPassword]', 'short');
    await reset.click('button');
    await eventually(async () => (await statusOf(reset).textContent())?.includes('at least 8'));
    const password = 'a much better pass phrase';
    await reset.fill('[name=newPassword]', password);
    await reset.click('button');
    await eventually(
      async () => (await statusOf(reset).textContent()) === 'The password is set. You can sign in with it.',
    );
    expect(reset.url()).toBe(`${url}/reset-password`);
    expect(await canSignIn({ ...person, password })).toBe(true);

    const owner = await reauthenticated(call, await signedIn(call, { ...person, password }));
    const newEmail = newPerson().email;
    await call(account.changeEmail, { newEmail }, { bearer: owner.accessToken });
    const confirm = await openLink(browser, await linkTo(newEmail, '/verify-email'));
    await confirm.fill('[name=password]', password);
    await confirm.click('button');
    await eventually(async () => (await statusOf(confirm).textContent())?.startsWith('The address is confirmed.'));
    expect(await canSignIn({ email: newEmail, password })).toBe(true);
    const undo = await openLink(browser, await linkTo(person.email, '/undo-email-change'));
    await undo.click('button');
    await eventually(async () => (await statusOf(undo).textContent())?.startsWith('The change is undone.'));
    expect(await canSignIn({ email: newEmail, password })).toBe(false);
  }, 120_000);

  test('allow sign-ins from a network, and opening a link consumes nothing', async (context) => {
    const browser = await openBrowser(context);
    const person = await registered(call);
    const from = (address: string, password: string) =>
      call(auth.login, { email: person.email, password }, { headers: { 'x-forwarded-for': address } });
    for (const n of [1, 2, 3]) await from(`203.0.113.${n}`, 'wrong pass phrase');
    const link = await linkTo(person.email, '/confirm-network');
    for (const _ of [1, 2]) await openLink(browser, link);
    const page = await openLink(browser, link);
    await page.click('button');
    await eventually(async () => (await statusOf(page).getAttribute('class')) === 'good');
    expect((await from('203.0.113.9', person.password)).code).toBe('ok');
    const again = await openLink(browser, link);
    await again.click('button');
    await eventually(async () => (await statusOf(again).getAttribute('class')) === 'bad');
  }, 120_000);

  test('say that a link has lost its token', async (context) => {
    const browser = await openBrowser(context);
    const page = await openLink(browser, `${url}/reset-password`);
    await eventually(async () => (await statusOf(page).textContent())?.startsWith('This link has no token.'));
    expect(await page.locator('button').isDisabled()).toBe(true);
  }, 120_000);
});

test('the page at / shows what runs, and its health', async (context) => {
  const browser = await openBrowser(context);
  const page = await openLink(browser, url);
  const problems: string[] = [];
  page.on('console', (message) => void problems.push(message.text()));
  await page.reload();
  await eventually(async () => (await page.locator('#health').textContent()) === 'ready');
  expect(await page.textContent('main')).toContain('latchkey.auth.v1.VerifierService');
  expect(problems).toEqual([]);
}, 120_000);

test.each(['/', '/reset-password', '/dev/link-page.js'])('%s allows no foreign script, frame or form', async (path) => {
  const response = await fetch(`${url}${path}`);
  const policy = response.headers.get('content-security-policy');
  expect(policy).toContain("default-src 'none'; script-src 'self';");
  expect(policy).toContain("frame-ancestors 'none'");
  expect(policy).not.toContain('unsafe');
  expect(await response.text()).not.toMatch(/<script(?! type="module" src)|\son\w+=|<style|\sstyle=/);
});
