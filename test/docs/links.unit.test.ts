// Every relative link, anchor, picture and file name in README and docs resolves, and the README stays short.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, test } from 'vitest';
import { PAGES as RUNBOOK } from '../runbook/page.ts';
import { shellBlocks } from '../support/doc-blocks.ts';

const PAGES = [
  ...readdirSync('.').filter((name) => name.endsWith('.md')),
  ...readdirSync('docs', { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
];
const MAX_README_BYTES = 8 * 1024;

/** Blocks that a test cannot type: they need Docker, a cluster, systemd, a compiler, a provider's secrets, the id of a stolen key, or stop the service. */
const UNTYPED: Record<string, number> = {
  'README.md': 2,
  'docs/tutorial.md': 1,
  'docs/guides/chaos.md': 1,
  'docs/guides/key-rotation.md': 1,
  'docs/guides/kubernetes.md': 1,
  'docs/guides/moving-in.md': 3,
  'docs/guides/production.md': 4,
  'docs/guides/releasing.md': 5,
  'docs/guides/social-sign-in.md': 2,
  'docs/guides/systemd.md': 3,
};

function proseOf(page: string): string {
  return readFileSync(page, 'utf8').replaceAll(/^ *```[\s\S]*?^ *```$/gm, '');
}

/** The anchors that GitHub gives to the headings of a page, and those that the page defines. */
function anchorsOf(page: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ''] of proseOf(page).matchAll(/^#+ (.*)$/gm)) {
    const text = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const slug = text.replaceAll(/[^\p{L}\p{N}\s_-]/gu, '').replaceAll(' ', '-');
    let name = slug;
    for (let n = 1; anchors.has(name); n += 1) name = `${slug}-${n}`;
    anchors.add(name);
  }
  for (const [, id = ''] of proseOf(page).matchAll(/<a (?:id|name)="([^"]+)"/g)) anchors.add(id);
  return anchors;
}

function brokenLinks(page: string): string[] {
  const targets = [...proseOf(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
  return targets.filter((target) => {
    if (/^[a-z]+:/.test(target)) return false;
    const [path = '', anchor] = target.split('#');
    const file = path === '' ? page : normalize(join(dirname(page), path));
    if (!existsSync(file)) return true;
    return anchor !== undefined && !(file.endsWith('.md') && anchorsOf(file).has(anchor));
  });
}

describe.each(PAGES)('%s', (page) => {
  test('has no broken link', () => {
    expect(brokenLinks(page)).toEqual([]);
  });

  // The changelog also names files of its time, and CONTRIBUTING the files of an example.
  test.skipIf(/^(?:CHANGELOG|CONTRIBUTING)/.test(page))('names files that exist', () => {
    const named = [...proseOf(page).matchAll(/`((?:src|test|docs|proto|deploy|examples)\/[\w./-]*)`/g)];
    expect(named.map(([, file = '']) => file).filter((file) => !existsSync(file))).toEqual([]);
  });
});

test('the README has at most 8 KB', () => {
  expect(statSync('README.md').size).toBeLessThanOrEqual(MAX_README_BYTES);
});

test('every picture is shown by a page', () => {
  const texts = PAGES.map((page) => readFileSync(page, 'utf8')).join('\n');
  expect(readdirSync('docs/images').filter((name) => !texts.includes(`images/${name})`))).toEqual([]);
});

test('every shell block is typed by a test, except those on the list', () => {
  const names = ['dev/quickstart.test.ts', 'docs/backup-and-upgrade.test.ts', 'docs/second-factors.test.ts'];
  const tests = names.map((name) => readFileSync(join('test', name), 'utf8'));
  const isTyped = (title: string | null) => title !== null && tests.some((text) => text.includes(title));
  const untyped = PAGES.filter((page) => /^README|^docs\/(?!cookbook|reference)/.test(page) && !RUNBOOK.includes(page))
    .map((page) => [page, shellBlocks(page).filter(({ title }) => !isTyped(title)).length] as const)
    .filter(([, count]) => count > 0);
  expect(Object.fromEntries(untyped)).toEqual(UNTYPED);
});
