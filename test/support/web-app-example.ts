// The web application of examples/web-app beside a service, and the people who use it in a browser.
import type { BrowserContext, Page } from 'playwright-core';
import { freePort } from '../../src/dev/free-port.ts';
import { SERVICE_KEY, startTestApp, type TestApp } from './app.ts';
import { eventually } from './eventually.ts';
import { newPerson, type Person } from './people.ts';
import { run } from './processes.ts';

export type WebAppExample = {
  app: TestApp;
  site: string;
  /** Errors of pages, which a test should expect to be empty. */
  problems: string[];
  open(browser: BrowserContext, address: string): Promise<Page>;
  signUp(browser: BrowserContext): Promise<Person & { page: Page }>;
  close(): Promise<void>;
};

export async function startWebAppExample(): Promise<WebAppExample> {
  const port = await freePort();
  const site = `http://localhost:${port}`;
  const app = await startTestApp({ PUBLIC_URL: site });
  const example = run(
    process.execPath,
    ['--import', './test/support/client-from-source.mjs', 'examples/web-app/web-app.ts'],
    { LATCHKEY_URL: app.url, LATCHKEY_KEY: SERVICE_KEY, PORT: String(port) },
  );
  await eventually(() => {
    if (example.child.exitCode !== null) throw new Error(example.output());
    return example.output().includes('the web application is on');
  });
  const problems: string[] = [];

  async function open(browser: BrowserContext, address: string): Promise<Page> {
    const page = await browser.newPage();
    page.on('console', (message) => void (message.type() === 'error' && problems.push(message.text())));
    page.on('pageerror', (error) => void problems.push(error.message));
    await page.goto(address);
    return page;
  }

  return {
    ...{ app, site, problems, open },
    async signUp(browser) {
      const person = newPerson();
      const page = await open(browser, `${site}/sign-up`);
      await page.fill('[name=name]', person.fullName);
      await page.fill('[name=email]', person.email);
      await page.fill('[name=password]', person.password);
      await page.click('text=Create the account');
      await page.waitForURL(`${site}/`);
      return { ...person, page };
    },
    async close() {
      example.child.kill();
      await app.close();
    },
  };
}
