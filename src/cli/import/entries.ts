// The entries of a file in the order of the file: lines of JSON, elements of JSON arrays, or records of CSV. One entry
// at a time is in memory.
import { pipeline, Readable } from 'node:stream';
import { Tokenizer, TokenParser, TokenType } from '@streamparser/json';
import { CsvError, parse } from 'csv-parse';
import { OperatorError } from '../../process/operator-error.ts';

export type Entry = {
  /** Where the entry begins, from 1. */
  line: number;
} & ({ value: unknown } | { problem: string });

const MAX_ENTRY_BYTES = 1024 * 1024;
const TOO_LONG = 'must be at most 1 MiB long';
const MAX_DEPTH = 64;

export async function* jsonLines(text: AsyncIterable<string>): AsyncGenerator<Entry> {
  let number = 0;
  for await (const line of boundedLines(text)) {
    number += 1;
    if (line === null) yield { line: number, problem: TOO_LONG };
    else if (line.trim() !== '') yield { line: number, ...parseJson(line) };
  }
}

function parseJson(text: string): { value: unknown } | { problem: string } {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return { problem: 'must be one JSON object on a line of its own' };
  }
}

/** Null stands for a line that is too long. */
async function* boundedLines(text: AsyncIterable<string>): AsyncGenerator<string | null> {
  let rest = '';
  let isTooLong = false;
  for await (const chunk of text) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      yield isTooLong || line.length > MAX_ENTRY_BYTES ? null : line;
      isTooLong = false;
    }
    if (rest.length > MAX_ENTRY_BYTES) [rest, isTooLong] = ['', true];
  }
  if (isTooLong) yield null;
  else if (rest !== '') yield rest;
}

/**
 * @param paths of the elements, such as `$.users.*`
 * @throws OperatorError for a text that is not JSON, because nothing after the error can be read
 */
export async function* jsonElements(text: AsyncIterable<string>, paths: string[]): AsyncGenerator<Entry> {
  const { tokenizer, found, position } = elementParser(paths);
  let line = 1;
  for await (const chunk of text) {
    const bytes = Buffer.from(chunk);
    position.start(bytes, line);
    try {
      tokenizer.write(bytes);
    } catch (error) {
      throw error instanceof OperatorError ? error : new OperatorError(`line ${position.line()}: the file is not JSON`);
    }
    line = position.lineAtEnd();
    yield* found.splice(0);
  }
  if (!tokenizer.isEnded) throw new OperatorError(`line ${line}: the JSON of the file is incomplete`);
}

function elementParser(paths: string[]) {
  const [tokenizer, parser] = [new Tokenizer(), new TokenParser({ paths, keepStack: false })];
  const found: Entry[] = [];
  const position = createPosition();
  const starts: { line: number; offset: number }[] = [];
  let lastClosed = { line: 1, offset: 0 };
  tokenizer.onToken = (token) => {
    position.moveTo(token.offset);
    const isOpening = token.token === TokenType.LEFT_BRACE || token.token === TokenType.LEFT_BRACKET;
    const isClosing = token.token === TokenType.RIGHT_BRACE || token.token === TokenType.RIGHT_BRACKET;
    if (isOpening) starts.push({ line: position.line(), offset: token.offset });
    lastClosed = (isClosing ? starts.pop() : undefined) ?? { line: position.line(), offset: token.offset };
    if (starts.length > MAX_DEPTH) throw new OperatorError(`line ${position.line()}: the JSON is too deep`);
    parser.write(token);
  };
  const rethrow = (error: Error) => {
    throw error;
  };
  [tokenizer.onError, parser.onError] = [rethrow, rethrow];
  tokenizer.onEnd = () => {};
  parser.onEnd = () => tokenizer.isEnded || tokenizer.end();
  parser.onValue = ({ value }) => {
    const isTooLong = position.offset() - lastClosed.offset > MAX_ENTRY_BYTES;
    found.push({ line: lastClosed.line, ...(isTooLong ? { problem: TOO_LONG } : { value }) });
  };
  return { tokenizer, found, position };
}

const NEWLINE = 0x0a;

/** Counts the lines up to the byte of a token. Tokens arrive in their order. */
function createPosition() {
  let bytes: Buffer = Buffer.alloc(0);
  let [base, counted, line] = [0, 0, 1];
  const countTo = (end: number) => {
    for (let at = bytes.indexOf(NEWLINE, counted); at >= 0 && at < end; at = bytes.indexOf(NEWLINE, at + 1)) line += 1;
    counted = Math.max(counted, end);
  };
  return {
    start(next: Buffer, firstLine: number): void {
      base += bytes.length;
      [bytes, counted, line] = [next, 0, firstLine];
    },
    moveTo: (offset: number) => countTo(offset - base),
    offset: () => base + counted,
    line: () => line,
    lineAtEnd(): number {
      countTo(bytes.length);
      return line;
    },
  };
}

type CsvRecord = { info: { lines: number }; record: string[] };

/** The first record has the names of the columns. Empty cells are left out. @throws OperatorError for invalid CSV */
export async function* csvRecords(text: AsyncIterable<string>): AsyncGenerator<Entry> {
  const parser = parse({ info: true, relax_column_count: true, max_record_size: MAX_ENTRY_BYTES });
  // An error of the text destroys the parser, whose loop below throws it.
  pipeline(Readable.from(text), parser, () => {});
  let names: string[] | null = null;
  let line = 1;
  try {
    for await (const { info, record } of parser as AsyncIterable<CsvRecord>) {
      if (names === null) names = namesOf(record);
      else if (record.length !== names.length) {
        yield { line, problem: `must have ${names.length} cells, as the first line has` };
      } else yield { line, value: toObject(names, record) };
      line = info.lines + 1;
    }
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    throw new OperatorError(
      `line ${line}: ${error.code === 'CSV_MAX_RECORD_SIZE' ? TOO_LONG : 'the file is not CSV: check the quotation marks'}`,
    );
  }
}

function namesOf(record: string[]): string[] {
  const names = record.map((name) => name.trim());
  const repeated = names.find((name, n) => names.indexOf(name) !== n);
  if (repeated !== undefined) throw new OperatorError('line 1: two columns of the file have the same name');
  return names;
}

function toObject(names: string[], record: string[]): Record<string, string> {
  return Object.fromEntries(names.flatMap((name, n) => (record[n] ? [[name, record[n]]] : [])));
}
