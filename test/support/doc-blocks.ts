// Shell blocks of the documentation: tests type them and compare the output with the lines that begin with `#>`.
import { readFileSync } from 'node:fs';

/** The title is the comment in the first line, or null. */
type DocBlock = { title: string | null; text: string };

/** The blocks of a page in their order, also those in lists. */
export function shellBlocks(page: string): DocBlock[] {
  return [...readFileSync(page, 'utf8').matchAll(/^ *```sh\n([\s\S]*?)^ *```$/gm)].map(([, text = '']) => ({
    title: /^ *# (.*)\n/.exec(text)?.[1] ?? null,
    text,
  }));
}

/** @throws where the page has no block with this title */
export function shellBlock(page: string, title: string): string {
  const found = shellBlocks(page).find((block) => block.title === title);
  if (!found) throw new Error(`${page} has no block "${title}"`);
  return found.text;
}

/** The output that a block shows. */
export function shownOutput(text: string): string {
  return [...text.matchAll(/^#> (.*)$/gm)].map(([, line]) => line).join('...');
}

/** The first expected part that the output lacks, or null. Parts are separated by `...`; white space is ignored. */
export function missingPart(output: string, expected: string): string | null {
  const bare = (text: string) => text.replace(/\s/g, '');
  let rest = bare(output);
  for (const part of bare(expected).split('...')) {
    const at = rest.indexOf(part);
    if (at < 0) return part;
    rest = rest.slice(at + part.length);
  }
  return null;
}
