// Passkeys on the pages below /session/, in a real Chromium with a virtual authenticator.
import type { CDPSession, Page } from 'playwright-core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { freePort } from '../../src/dev/free-port.ts';
import { testApp } from '../support/app.ts';
import { openBrowser } from '../support/browser.ts';
import { signedInWith } from '../support/people.ts';

const PORT = await freePort();
const SITE = `http://localhost:${PORT}`;
const app = await testApp({ PORT: String(PORT), PUBLIC_URL: SITE, SESSION_COOKIE_ORIGINS: SITE });
const { call } = app;

const ALERT = '[role=alert]:not([hidden])';

beforeEach(() => app.owner.query("UPDATE factor_policy SET scope = 'roles', roles = '{admin}', changed_at = now()"));
afterEach(() => app.owner.query('UPDATE factor_policy SET scope = DEFAULT, roles = DEFAULT'));

type Authenticator = { cdp: CDPSession; authenticatorId: string };

async function addAuthenticator(page: Page, { hasUserVerification = true } = {}): Promise<Authenticator> {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('WebAuthn.enable');
  const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification,
      isUserVerified: hasUserVerification,
      automaticPresenceSimulation: true,
    },
  });
  return { cdp, authenticatorId };
}

/** Removes it from the authenticator. */
async function takePasskey({ cdp, authenticatorId }: Authenticator) {
  const { credentials } = await cdp.send('WebAuthn.getCredentials', { authenticatorId });
  await cdp.send('WebAuthn.clearCredentials', { authenticatorId });
  const [credential] = credentials;
  if (!credential) throw new Error('the authenticator has no passkey');
  return credential;
}

const press = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click();

async function fillPassword(page: Page, { email, password }: { email: string; password: string }): Promise<void> {
  await page.goto(`${SITE}/session/sign-in?return=/orders`);
  await page.fill('[name=email]', email);
  await page.fill('[name=password]', password);
  await press(page, 'Sign in');
}

/** A person who had to add a passkey in order to sign in. */
async function enrolled(page: Page) {
  const person = await signedInWith(app, call, ['admin']);
  await fillPassword(page, person);
  await press(page, 'Add a passkey instead');
  await page.waitForSelector('text="Your recovery codes"');
  expect(await page.locator('li code').count()).toBe(10);
  await page.click('text=Continue');
  await page.waitForURL(`${SITE}/orders`);
  return person;
}

test('a person adds a passkey, signs in with it alone, and steps up with it', { timeout: 60_000 }, async (context) => {
  const browser = await openBrowser(context);
  const page = await browser.newPage();
  const violations: string[] = [];
  page.on('console', (message) =>
    violations.push(...(/Content Security/i.test(message.text()) ? [message.text()] : [])),
  );
  await addAuthenticator(page);
  await enrolled(page);
  await browser.clearCookies();
  await page.goto(`${SITE}/session/sign-in?return=/orders`);
  await press(page, 'Sign in with a passkey');
  await page.waitForURL(`${SITE}/orders`);
  const sessionCookie = async () => (await browser.cookies()).find(({ name }) => name.includes('session'))?.value;
  const before = await sessionCookie();
  expect(before).toMatch(/^lks_/);
  await page.goto(`${SITE}/session/step-up?return=/payment&acr=phr`);
  await page.waitForURL(`${SITE}/payment`);
  expect(await sessionCookie()).not.toBe(before);
  expect(violations).toEqual([]);
});

test('a passkey without user verification is a second step, and no sign-in alone', {
  timeout: 60_000,
}, async (context) => {
  const browser = await openBrowser(context);
  const page = await browser.newPage();
  const { cdp, authenticatorId } = await addAuthenticator(page);
  const person = await enrolled(page);
  await browser.clearCookies();
  const credential = await takePasskey({ cdp, authenticatorId });
  await cdp.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId });
  const weak = await addAuthenticator(page, { hasUserVerification: false });
  await weak.cdp.send('WebAuthn.addCredential', { authenticatorId: weak.authenticatorId, credential });
  await page.goto(`${SITE}/session/sign-in?return=/orders`);
  await press(page, 'Sign in with a passkey');
  await page.waitForSelector(ALERT);
  expect(await browser.cookies()).toEqual([]);
  await fillPassword(page, person);
  await press(page, 'Use a passkey');
  await page.waitForURL(`${SITE}/orders`);
});

test('a copied passkey, whose counter has fallen back, is rejected', { timeout: 60_000 }, async (context) => {
  const browser = await openBrowser(context);
  const page = await browser.newPage();
  const { cdp, authenticatorId } = await addAuthenticator(page);
  const person = await enrolled(page);
  await browser.clearCookies();
  await fillPassword(page, person);
  await press(page, 'Use a passkey');
  await page.waitForURL(`${SITE}/orders`);
  await browser.clearCookies();
  const credential = await takePasskey({ cdp, authenticatorId });
  await cdp.send('WebAuthn.addCredential', { authenticatorId, credential: { ...credential, signCount: 0 } });
  await fillPassword(page, person);
  await press(page, 'Use a passkey');
  await page.waitForSelector(`${ALERT} >> text=wrong, used or too old`);
  expect(await browser.cookies()).toEqual([]);
});

test('without scripts the pages have no passkeys, and a recovery code suffices', {
  timeout: 60_000,
}, async (context) => {
  const browser = await openBrowser(context);
  const page = await browser.newPage();
  await addAuthenticator(page);
  const person = await signedInWith(app, call, ['admin']);
  await fillPassword(page, person);
  await press(page, 'Add a passkey instead');
  const code = String(await page.locator('li code').first().textContent());
  await browser.clearCookies();
  const cdp = await browser.newCDPSession(page);
  await cdp.send('Emulation.setScriptExecutionDisabled', { value: true });
  await fillPassword(page, person);
  await page.waitForSelector('summary');
  expect(await page.locator('form.passkey').isVisible()).toBe(false);
  await page.click('summary');
  await page.fill('[name=recoveryCode]', code);
  await page.click('details button');
  await page.waitForURL(`${SITE}/orders`);
});
