// The indexes of docs/reference and docs/decisions, which GitHub shows with each folder.
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { firstSentence, paragraphs } from './markdown.ts';
import type { Page } from './page.ts';

export function referenceIndex(pages: Page[]): Page {
  const entries = pages.map(({ path, text }) => {
    const [title, first = ''] = text.split('\n\n');
    return `- [${titleOf(title)}](${basename(path)}): ${firstSentence(first)}`;
  });
  return {
    path: 'docs/reference/README.md',
    text: paragraphs('# Reference', 'These pages are generated from the code that they describe.', entries.join('\n')),
  };
}

export function decisionsIndex(root: string): Page {
  const folder = join(root, 'docs/decisions');
  const names = readdirSync(folder).filter((name) => name.endsWith('.md') && name !== 'README.md');
  const entries = names.toSorted().map((name) => {
    const [title] = readFileSync(join(folder, name), 'utf8').split('\n', 1);
    return `- [${titleOf(title)}](${name})`;
  });
  return {
    path: 'docs/decisions/README.md',
    text: paragraphs(
      '# Decisions',
      'Each page gives the context of a decision, the decision, its consequences, and the facts that would change it.',
      entries.join('\n'),
    ),
  };
}

function titleOf(heading = ''): string {
  return heading.replace(/^# /, '');
}
