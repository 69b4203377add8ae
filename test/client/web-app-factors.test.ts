// Second factors in examples/web-app: an authenticator app by oathtool, passkeys by Chromium's virtual authenticators.
import type { CDPSession, Page } from 'playwright-core';
import { afterAll, expect, test } from 'vitest';
import { openBrowser } from '../support/browser.ts';
import { eventually } from '../support/eventually.ts';
import { codeOfOathtool } from '../support/oathtool.ts';
import { newPerson } from '../support/people.ts';
import { startWebAppExample } from '../support/web-app-example.ts';

const { app, site, problems, signUp, close } = await startWebAppExample();
afterAll(close);

const TIMEOUT_MS = 120_000;
const STEP_MS = 30_000;
const WRONG = 'The code or the passkey is wrong, or was used before.';
const heading = (page: Page) => page.textContent('h1');
const problem = (page: Page) => page.textContent('#problem');

/** Presses a button that leads to another page. */
async function submit(page: Page, text: string): Promise<void> {
  const loaded = page.waitForEvent('load');
  await page.click(`button:text-is("${text}")`);
  await loaded;
}

async function withAuthenticator(page: Page, isUserVerified = true) {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('WebAuthn.enable');
  const options = {
    protocol: 'ctap2',
    transport: 'internal',
    hasResidentKey: true,
    hasUserVerification: true,
  } as const;
  const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', {
    options: { ...options, isUserVerified, automaticPresenceSimulation: true },
  });
  return { cdp, authenticatorId };
}

async function setBackCounter(cdp: CDPSession, authenticatorId: string): Promise<void> {
  const { credentials } = await cdp.send('WebAuthn.getCredentials', { authenticatorId });
  for (const { credentialId, ...credential } of credentials) {
    await cdp.send('WebAuthn.removeCredential', { authenticatorId, credentialId });
    const copy = { ...credential, credentialId, signCount: 1 };
    await cdp.send('WebAuthn.addCredential', { authenticatorId, credential: copy });
  }
}

async function signIn(page: Page, { email, password }: { email: string; password: string }): Promise<void> {
  await page.goto(`${site}/sign-in`);
  await page.fill('[name=email]', email);
  await page.fill('[name=password]', password);
  await submit(page, 'Sign in');
}

async function signOut(page: Page): Promise<void> {
  await page.goto(site);
  await submit(page, 'Sign out');
}

async function confirmByPassword(page: Page, password: string): Promise<void> {
  expect(await heading(page)).toBe('Confirm that it is you');
  await page.fill('[name=password]', password);
  await submit(page, 'Continue');
}

async function addPasskey(page: Page, password: string): Promise<void> {
  await page.goto(`${site}/security`);
  await submit(page, 'Add a passkey');
  await confirmByPassword(page, password);
  await page.click('text=Create a passkey');
  await page.waitForSelector('#recovery-codes');
}

async function auditTypes(email: string): Promise<string[]> {
  const query = 'SELECT type FROM audit_events JOIN users ON users.id = user_id WHERE email = $1';
  return (await app.owner.query(query, [email])).rows.map(({ type }) => type);
}

test(
  'an authenticator app and recovery codes, from the QR code to a deleted account',
  async (context) => {
    const browser = await openBrowser(context);
    const { page, ...person } = await signUp(browser);
    await page.goto(`${site}/security`);
    await submit(page, 'Add an authenticator app');
    await confirmByPassword(page, 'not the password');
    expect(await problem(page)).toBe('The current password is wrong.');
    await confirmByPassword(page, person.password);
    const secret = (await page.textContent('#secret')) ?? '';
    expect(await page.evaluate("document.querySelector('.qr-code').naturalWidth")).toBeGreaterThan(0);
    await page.fill('[name=code]', '000000');
    await submit(page, 'Use the code');
    expect(await problem(page)).toBe(WRONG);
    expect(await page.textContent('#secret')).toBe(secret);
    app.freeze();
    const before = await codeOfOathtool(secret, new Date(app.time() - STEP_MS));
    await page.fill('[name=code]', before);
    await submit(page, 'Use the code');
    const codes = await page.locator('#recovery-codes code').allTextContents();
    expect(codes).toHaveLength(10);

    await signOut(page);
    await signIn(page, person);
    expect(await heading(page)).toBe('One more step');
    await page.fill('[name=code]', before);
    await submit(page, 'Use the code');
    expect(await problem(page)).toBe(WRONG);
    await page.fill('[name=code]', await codeOfOathtool(secret, new Date(app.time())));
    await submit(page, 'Use the code');
    expect(await page.textContent('#email')).toBe(person.email);

    await page.goto(`${site}/security`);
    await page.fill('[name=name]', 'My telephone');
    await submit(page, 'Rename');
    expect(await page.textContent('h2')).toBe('My telephone');
    await submit(page, 'New recovery codes');
    expect(await page.locator('[name=password]').count()).toBe(0);
    await page.fill('[name=recovery]', codes[0] ?? '');
    await submit(page, 'Use a recovery code');
    const renewed = await page.locator('#recovery-codes code').allTextContents();
    expect(renewed.filter((code) => codes.includes(code))).toEqual([]);

    await signOut(page);
    await signIn(page, person);
    await page.fill('[name=recovery]', codes[1] ?? '');
    await submit(page, 'Use a recovery code');
    expect(await problem(page)).toBe(WRONG);
    await page.fill('[name=recovery]', renewed[0] ?? '');
    await submit(page, 'Use a recovery code');
    await page.goto(`${site}/security`);
    expect(await page.textContent('#recovery-codes-left')).toBe('9');
    await submit(page, 'Delete my account');
    await page.fill('[name=recovery]', renewed[1] ?? '');
    await submit(page, 'Use a recovery code');
    expect(await page.textContent('#done')).toBe('Your account is deleted.');
    expect((await browser.cookies(site)).map(({ name }) => name)).toEqual(['__Host-binding']);
    expect(problems).toEqual([]);
  },
  TIMEOUT_MS,
);

test(
  'a passkey is a second step, signs in alone, confirms an action, and is removed',
  async (context) => {
    const browser = await openBrowser(context);
    const { page, ...person } = await signUp(browser);
    await withAuthenticator(page);
    await addPasskey(page, person.password);
    await page.goto(`${site}/security`);
    await submit(page, 'Add a passkey');
    await page.click('text=Create a passkey');
    await eventually(async () => (await problem(page)) === 'This device has a passkey of your account.');

    await signOut(page);
    await signIn(page, person);
    await page.click('text=Use a passkey');
    await page.waitForURL(`${site}/`);
    expect(await page.textContent('#email')).toBe(person.email);

    await signOut(page);
    await page.goto(`${site}/sign-in?return=%2Fsecurity`);
    await submit(page, 'Sign in with a passkey');
    await page.click('text=Use a passkey');
    await page.waitForURL(`${site}/security`);

    await submit(page, 'Remove');
    expect(await heading(page)).toBe('Confirm that it is you');
    await page.click('text=Use a passkey');
    await page.waitForSelector('text=The factor is removed.');
    expect(await page.locator('h2').count()).toBe(0);
    await eventually(async () => {
      const types = await auditTypes(person.email);
      return ['factor_added', 'stepped_up', 'factor_removed'].every((type) => types.includes(type));
    });
    await signOut(page);
    await signIn(page, person);
    await page.waitForURL(`${site}/`);
    expect(problems).toEqual([]);
  },
  TIMEOUT_MS,
);

test(
  'a passkey that has not verified the user is a second step, and does not sign in alone',
  async (context) => {
    const browser = await openBrowser(context);
    const { page, ...person } = await signUp(browser);
    const { cdp, authenticatorId } = await withAuthenticator(page);
    await addPasskey(page, person.password);
    await cdp.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false });
    await signOut(page);
    await page.goto(`${site}/sign-in`);
    await submit(page, 'Sign in with a passkey');
    await page.click('text=Use a passkey');
    await eventually(
      async () => (await problem(page)) === 'The passkey was not used. Try again, or choose another way.',
    );
    // A browser under the control of an attacker does not insist on verification.
    await page.evaluate(
      "form = document.querySelector('[data-get]'); form.dataset.get = form.dataset.get.replace('required', 'discouraged')",
    );
    await page.click('text=Use a passkey');
    await eventually(async () => (await problem(page)) === WRONG);
    await signIn(page, person);
    await page.evaluate(
      "form = document.querySelector('[data-get]'); form.dataset.get = form.dataset.get.replace('preferred', 'discouraged')",
    );
    await page.click('text=Use a passkey');
    await page.waitForURL(`${site}/`);
  },
  TIMEOUT_MS,
);

test(
  'a passkey whose counter falls is rejected and audited',
  async (context) => {
    const browser = await openBrowser(context);
    const { page, ...person } = await signUp(browser);
    const { cdp, authenticatorId } = await withAuthenticator(page);
    await addPasskey(page, person.password);
    for (const _ of ['the first', 'the second']) {
      await signOut(page);
      await signIn(page, person);
      await page.click('text=Use a passkey');
      await page.waitForURL(`${site}/`);
    }
    await signOut(page);
    await setBackCounter(cdp, authenticatorId);
    await signIn(page, person);
    await page.click('text=Use a passkey');
    await eventually(async () => (await problem(page)) === WRONG);
    await eventually(async () => (await auditTypes(person.email)).includes('passkey_counter_fell'));
  },
  TIMEOUT_MS,
);

test(
  'a policy asks for a factor soon, and then in the sign-in itself',
  async (context) => {
    const browser = await openBrowser(context);
    const policy = 'UPDATE factor_policy SET scope = $1, roles = $2, grace_seconds = $3, changed_at = $4';
    const requireFrom = (seconds: number) =>
      app.owner.query(policy, ['roles', ['user'], seconds, new Date(app.time())]);
    const { page, ...person } = await signUp(browser);
    await signOut(page);
    await requireFrom(3600);
    await signIn(page, person);
    expect(await problem(page)).toBe('Your account will soon require a second factor. Add one.');
    await signOut(page);
    await requireFrom(0);
    await signIn(page, person);
    expect(await heading(page)).toBe('Add a second factor');
    const secret = (await page.textContent('#secret')) ?? '';
    await page.fill('[name=code]', '000000');
    await submit(page, 'Use the code');
    expect([await problem(page), await page.textContent('#secret')]).toEqual([WRONG, secret]);
    await page.fill('[name=code]', await codeOfOathtool(secret, new Date(app.time())));
    await submit(page, 'Use the code');
    expect(await page.locator('#recovery-codes code').count()).toBe(10);

    await page.context().clearCookies();
    await page.goto(`${site}/sign-up`);
    await withAuthenticator(page);
    await page.fill('[name=name]', 'Katherine Johnson');
    await page.fill('[name=email]', newPerson().email);
    await page.fill('[name=password]', person.password);
    await submit(page, 'Create the account');
    expect(await heading(page)).toBe('Add a second factor');
    await page.click('text=Create a passkey');
    await page.waitForSelector('#recovery-codes');
    await page.goto(site);
    expect(await heading(page)).toBe('Home');
  },
  TIMEOUT_MS,
);
