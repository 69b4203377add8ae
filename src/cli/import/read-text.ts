// The text of a file, in pieces. A byte that is invalid in the encoding stops an import before it begins: replaced by
// U+FFFD it would change a name for ever.
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { OperatorError } from '../../process/operator-error.ts';

const MARKS: [bytes: number[], encoding: string][] = [
  [[0xef, 0xbb, 0xbf], 'utf-8'],
  [[0xff, 0xfe], 'utf-16le'],
  [[0xfe, 0xff], 'utf-16be'],
];

/** UTF-8, unless a byte order mark names another encoding. @throws OperatorError */
async function detectEncoding(file: string): Promise<string> {
  const first = await firstBytes(file, 3);
  const [, encoding] = MARKS.find(([mark]) => mark.every((byte, n) => first[n] === byte)) ?? [];
  if (encoding !== undefined) return encoding;
  // No text file has a NUL, except in UTF-16.
  if (first.subarray(0, 2).includes(0)) return first[0] === 0 ? 'utf-16be' : 'utf-16le';
  return 'utf-8';
}

/** @param encoding empty to detect it @throws OperatorError */
export async function checkEncoding(file: string, encoding: string): Promise<string> {
  const used = encoding === '' ? await detectEncoding(file) : knownEncoding(encoding);
  for await (const _ of textOf(file, used));
  return used;
}

/** @throws OperatorError with the line of the first invalid byte */
export async function* textOf(file: string, encoding: string): AsyncGenerator<string> {
  const decoder = new TextDecoder(encoding, { fatal: true });
  let line = 1;
  let tail: Buffer = Buffer.alloc(0);
  const decode = (bytes: Buffer, stream: boolean): string => {
    try {
      return decoder.decode(bytes, { stream });
    } catch {
      const at = line + (encoding === 'utf-8' ? linesBeforeError(Buffer.concat([tail, bytes])) : 0);
      throw new OperatorError(`line ${at} is not valid ${encoding.toUpperCase()}: ${remedyFor(encoding)}`);
    }
  };
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
    const text = decode(chunk, true);
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) line += 1;
    tail = startedCharacter(chunk);
    if (text !== '') yield text;
  }
  decode(Buffer.alloc(0), false);
}

function remedyFor(encoding: string): string {
  return encoding === 'utf-8'
    ? 'convert the file to UTF-8, or name its encoding, such as --encoding latin1'
    : 'name the encoding of the file by --encoding';
}

/** The bytes of a character of UTF-8 that the next chunk may complete. */
function startedCharacter(chunk: Buffer): Buffer {
  const last = chunk.subarray(-3);
  const start = last.findLastIndex((byte) => byte >= 0xc0);
  return start < 0 ? Buffer.alloc(0) : last.subarray(start);
}

function linesBeforeError(bytes: Buffer): number {
  const strict = new TextDecoder('utf-8', { fatal: true });
  let lines = 0;
  for (let start = 0; ; lines += 1) {
    const end = bytes.indexOf(0x0a, start);
    // The error is in the last line, which can be incomplete.
    if (end < 0) return lines;
    try {
      strict.decode(bytes.subarray(start, end));
    } catch {
      return lines;
    }
    start = end + 1;
  }
}

function knownEncoding(label: string): string {
  try {
    return new TextDecoder(label).encoding;
  } catch {
    throw new OperatorError('--encoding must name an encoding such as utf-8, utf-16le, latin1 or windows-1252');
  }
}

async function firstBytes(path: string, count: number): Promise<Buffer> {
  await using file = await open(path);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(count), 0, count, 0);
  return buffer.subarray(0, bytesRead);
}
