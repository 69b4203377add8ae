// Markdown for the pages of docs/reference. Tables are not padded, so that a change of one row is a change of one line.

export function paragraphs(...texts: string[]): string {
  return texts.filter((text) => text !== '').join('\n\n');
}

export function table(headings: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.map(cell).join(' | ')} |`;
  return [line(headings), `|${'---|'.repeat(headings.length)}`, ...rows.map(line)].join('\n');
}

function cell(text: string): string {
  return text
    .replace(/\s*\n\s*/g, ' ')
    .replaceAll('|', '\\|')
    .trim();
}

/** A name in a code span, which keeps `<`, `|` and `_` as they are. */
export function code(text: string): string {
  return `\`${text}\``;
}

/** Escapes `<` outside of code spans, where a browser would read a tag. */
export function escapeTags(text: string): string {
  return outsideCode(text, (part) => part.replaceAll('<', '&lt;'));
}

/** Links each word of capitals that has a target. @param targets by word, without `_FILE` and the like */
export function linkNames(text: string, targets: Map<string, string>): string {
  return outsideCode(text, (part) =>
    part.replace(/\b[A-Z][A-Z0-9_]+\b/g, (word) => {
      const target = targets.get(word);
      return target ? `[${word}](${target})` : word;
    }),
  );
}

function outsideCode(text: string, change: (part: string) => string): string {
  return text
    .split(/(`[^`]*`)/)
    .map((part, index) => (index % 2 === 0 ? change(part) : part))
    .join('');
}

/** The anchor that GitHub gives a heading. */
export function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');
}

export function firstSentence(text: string): string {
  const paragraph = text.split('\n\n', 1)[0] ?? '';
  return /^.*?[.:](?=\s|$)/s.exec(paragraph)?.[0].replace(/\s+/g, ' ').replace(/:$/, '.') ?? paragraph;
}

export function replaceSection(text: string, name: string, section: string): string {
  const begin = `<!-- generated: ${name} -->`;
  const end = '<!-- /generated -->';
  const [before, after] = text.split(begin);
  const rest = after?.slice(after.indexOf(end));
  if (before === undefined || !rest?.startsWith(end)) throw new Error(`no section ${begin}...${end}`);
  return `${before}${begin}\n\n${section}\n\n${rest}`;
}
