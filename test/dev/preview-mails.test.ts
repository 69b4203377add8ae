import { afterAll, beforeAll, expect, test } from 'vitest';
import { PREVIEWS, previewMails } from '../../src/dev/preview-mails.ts';

let preview: Awaited<ReturnType<typeof previewMails>>;
beforeAll(async () => {
  preview = await previewMails(0);
});
afterAll(() => preview.close());

test.each(Object.keys(PREVIEWS))('%s is shown as HTML and as text', async (name) => {
  const mail = PREVIEWS[name]?.();
  const page = await (await fetch(`${preview.url}/${name}`)).text();
  expect(page).toBe(mail?.html);
  const overview = await (await fetch(preview.url)).text();
  expect(overview).toContain(`src="/${name}"`);
  expect(overview).toContain(mail?.text.split('\n').at(-2)?.replaceAll("'", '&#39;'));
});
