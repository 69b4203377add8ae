// Browser sessions in a real Chromium, through a real gateway.
import type http from 'node:http';
import type { Page } from 'playwright-core';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import { freePort } from '../../src/dev/free-port.ts';
import { testApp } from '../support/app.ts';
import { openBrowser } from '../support/browser.ts';
import { portOf, serve, startEchoService } from '../support/echo-service.ts';
import { BROWSER_GATEWAYS, startGateway } from '../support/gateway.ts';
import { registered } from '../support/people.ts';

const port = await freePort();
const site = `http://localhost:${port}`;
const app = await testApp({ SESSION_COOKIE_ORIGINS: site, TRUSTED_PROXIES: '127.0.0.1,::1' });
const service = await startEchoService();
// Another port of the same host counts as the same site, so the browser sends it the cookies of the application.
const neighbour = await serve((_, response) => {
  response.setHeader('content-type', 'text/html');
  response.end(`<form method="post" action="${site}/orders"><button>Win a prize</button></form>`);
});
const close = (server: http.Server) => {
  server.closeAllConnections();
  server.close();
};
afterAll(() => [service, neighbour].forEach(close));

const FETCHED = `(async (path, method) => (await fetch(path, { method })).status)`;
const fetched = (page: Page, path: string, method = 'GET') =>
  page.evaluate<number>(`${FETCHED}(${JSON.stringify(path)}, ${JSON.stringify(method)})`);

// nginx has a form of redirect of its own, so it stands for the others here.
test.for(BROWSER_GATEWAYS.filter(({ name }) => name === 'nginx'))(
  'a person signs in, stays signed in and signs out behind $name',
  { timeout: 120_000 },
  async (gateway, context) => {
    const running = await startGateway(gateway, { latchkey: app.port, service: portOf(service) }, port);
    onTestFinished(() => running.stop());
    const browser = await openBrowser(context);
    const { email, password, userId } = await registered(app.call);
    const page = await browser.newPage();
    await page.goto(`${site}/orders?id=5`);
    expect(new URL(page.url()).pathname).toBe('/session/sign-in');
    await page.fill('[name=email]', email);
    await page.fill('[name=password]', password);
    await page.click('button');
    await page.waitForURL(`${site}/orders?id=5`);
    const shown = async () => String(await page.textContent('body'));
    expect(await shown()).toContain(userId);
    expect(await page.evaluate('document.cookie')).toBe('');
    await page.evaluate('document.cookie = "theme=dark"');

    for (const path of ['/orders', '/public/', '/static/']) {
      await page.goto(site + path);
      expect([path, await shown()]).toEqual([path, expect.stringContaining('theme=dark')]);
      expect([path, await shown()]).toEqual([path, expect.not.stringMatching(/lks_|lkr_/)]);
    }
    expect(await fetched(page, '/orders', 'POST')).toBe(200);

    app.advance(901_000);
    expect(await fetched(page, '/orders')).toBe(401);
    expect(await fetched(page, '/session/renew', 'POST')).toBe(200);
    expect(await fetched(page, '/orders')).toBe(200);
    app.advance(901_000);
    await page.goto(`${site}/orders?id=6`);
    expect(page.url()).toBe(`${site}/orders?id=6`);
    expect(await shown()).toContain(userId);

    const other = await browser.newPage();
    await other.goto(`http://localhost:${portOf(neighbour)}/`);
    const [answer] = await Promise.all([other.waitForResponse(`${site}/orders`), other.click('button')]);
    expect(answer.status()).toBe(403);

    await page.goto(`${site}/session/sign-out`);
    await page.click('button');
    await page.waitForLoadState();
    await page.goto(`${site}/orders`);
    expect(new URL(page.url()).pathname).toBe('/session/sign-in');
  },
);
