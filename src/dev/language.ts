// Checks the mechanical part of the language rules in CONTRIBUTING.md: openings and words that language.json bans.
// `node src/dev/language.ts [folder or file...]` prints each finding, and exits with 1 after one.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import banned from './language.json' with { type: 'json' };

type Line = { number: number; text: string };
type Format = 'code' | 'prose';

const FORMATS: Record<string, Format> = {
  ...Object.fromEntries(
    ['.ts', '.mts', '.mjs', '.js', '.proto', '.sql', '.lua', '.sh', '.yaml', '.yml', '.conf', '.cfg'].map((name) => [
      name,
      'code' as const,
    ]),
  ),
  '.md': 'prose',
};
const NAMES_OF_CODE = /(?:^|\/)(?:Dockerfile|Caddyfile|run)$/;
/** Generated code, and the migration that databases have applied: its text is part of their history. */
const SKIPPED = /^(?:gen\/|src\/store\/migrations\/0001_baseline\.sql$)/;

const WORDS = Object.entries(banned.words).map(([word, remedy]) => ({
  pattern: new RegExp(`(?<![\\w-])(?:${word})(?![\\w@-])`, 'i'),
  remedy,
}));
const OPENING = new RegExp(`^(?:${banned.openings.join('|')})\\s+[\\w\`'"(]`);
const TEST_OPENING = new RegExp(`^(?:${banned.openings.join('|')})\\s`, 'i');
const COMMENT = /^\s*(?:\/\/+|\/\*\*?|\*(?!\/)|#+(?!!)|--)\s*(.*?)\s*(?:\*\/)?\s*$/;
const TRAILING_COMMENT = /[^\s:'"`]\s+(?:\/\/|#|--)\s+(.*)$/;
const TEST_NAME = /(?:\b(?:test|it|describe)(?:\.\w+)*|\))\(\s*(['"`])(.*?)\1/g;
const FENCE = /^\s*(?:```|~~~)/;
const SENTENCE_END = /(?<=[.!?][)'"`]?)\s+(?=["'`(]?[A-Z])/;

export function languageProblems(path: string, text: string): string[] {
  const format = formatOf(path);
  if (!format) return [];
  const lines = text.split('\n').map((line, index) => ({ number: index + 1, text: line }));
  const paragraphs = format === 'prose' ? proseParagraphs(lines) : commentParagraphs(lines);
  const findings = [
    ...lines.flatMap(wordFindings),
    ...paragraphs.flatMap(openingFindings),
    ...(format === 'code' ? lines.flatMap(testNameFindings) : []),
  ];
  return findings
    .toSorted((a, b) => a.number - b.number)
    .map(({ number, text: found }) => `${path}:${number}: ${found}`);
}

function formatOf(path: string): Format | undefined {
  if (SKIPPED.test(path)) return undefined;
  return FORMATS[extname(path)] ?? (NAMES_OF_CODE.test(path) ? 'code' : undefined);
}

function wordFindings({ number, text }: Line): Line[] {
  return WORDS.flatMap(({ pattern, remedy }) => {
    const match = pattern.exec(text);
    return match ? [{ number, text: `"${match[0]}": ${remedy}` }] : [];
  });
}

function openingFindings({ number, text }: Line): Line[] {
  return text
    .split(SENTENCE_END)
    .filter((sentence) => OPENING.test(sentence) && !sentence.endsWith('?'))
    .map((sentence) => ({ number, text: `begins with "${firstWord(sentence)}": ${sentence.slice(0, 60)}` }));
}

function testNameFindings({ number, text }: Line): Line[] {
  return [...text.matchAll(TEST_NAME)]
    .map(([, , name = '']) => name)
    .filter((name) => TEST_OPENING.test(name))
    .map((name) => ({ number, text: `test name begins with "${firstWord(name)}": ${name.slice(0, 60)}` }));
}

function firstWord(text: string): string {
  return text.split(/\s/, 1)[0] ?? '';
}

/**
 * Joins the lines of a comment, because a sentence can continue on the next line. A blank comment line ends a
 * paragraph.
 */
function commentParagraphs(lines: Line[]): Line[] {
  const paragraphs: Line[] = [];
  let current: Line | null = null;
  for (const { number, text } of lines) {
    const comment: string | undefined = COMMENT.exec(text)?.[1];
    const startsBlock = /^\s*\/\*/.test(text);
    if (comment && current && !startsBlock && !/^(?:@|- )/.test(comment)) current.text += ` ${comment}`;
    else {
      const begun: string | undefined = comment ?? TRAILING_COMMENT.exec(text)?.[1];
      const paragraph: Line | null = begun ? { number, text: begun.replace(/^(?:@\w+\s+\w+\s+|- )/, '') } : null;
      if (paragraph) paragraphs.push(paragraph);
      current = comment ? paragraph : null;
    }
  }
  return paragraphs;
}

/** Headings, list items, quotations and table cells begin paragraphs. Code blocks are skipped. */
function proseParagraphs(lines: Line[]): Line[] {
  const paragraphs: Line[] = [];
  let current: Line | null = null;
  let isCode = false;
  for (const { number, text } of lines) {
    if (FENCE.test(text)) isCode = !isCode;
    const line = text.trim();
    const isStart = /^(?:#|[-*+] |\d+\. |>|\|)/.test(line);
    if (isCode || FENCE.test(text) || line === '') current = null;
    else if (current && !isStart) current.text += ` ${line}`;
    else {
      const parts = line.startsWith('|') ? line.split('|') : [line];
      const begun: Line[] = parts.map((part) => ({
        number,
        text: part.replace(/^(?:[#>]+|[-*+](?=\s)|\d+\.)?\s*(?:\*\*|__)?/, '').trim(),
      }));
      paragraphs.push(...begun);
      current = begun.at(-1) ?? null;
    }
  }
  return paragraphs;
}

/** Checks the files that git tracks or would add. @param under pathspecs of git; none for all files */
export function languageProblemsOf(root: string, under: string[] = []): string[] {
  const { stdout } = spawnSync('git', ['ls-files', '-co', '--exclude-standard', '--', ...under], {
    cwd: root,
    encoding: 'utf8',
  });
  const paths = stdout.split('\n').filter((path) => formatOf(path) && existsSync(`${root}/${path}`));
  return paths.flatMap((path) => languageProblems(path, readFileSync(`${root}/${path}`, 'utf8')));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const problems = languageProblemsOf(process.cwd(), process.argv.slice(2));
  for (const problem of problems) console.log(problem);
  process.exitCode = problems.length > 0 ? 1 : 0;
}
