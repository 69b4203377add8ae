// Reads the head of an HTTP/1.1 request in its plain form (RFC 9112): no line folding, no bare CR or LF, one `host`, at
// most one `content-length`, no `transfer-encoding`. All readers of HTTP agree where such a request ends. Every other
// form is left to node:http.
import { Http1Head, MAX_HEADERS } from './http1-head.ts';

const HEAD_END = '\r\n\r\n';
const LINE_END = '\r\n';
/** With other methods, such as CONNECT, other rules apply to what follows the head. */
const REQUEST_LINE = /^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (\/[!-~]*) HTTP\/1\.1$/;
const FIELDS = /^(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)+$/;
const LENGTH = /^\d{1,8}$/;
/** Each occurs at most once in a plain head. */
const SINGLE = ['host', 'content-length', 'connection'];
/** They change what follows the head, or what becomes of the connection. */
const NOT_PLAIN = ['transfer-encoding', 'upgrade', 'expect', 'trailer', 'proxy-connection'];
/** Few headers have a name of such a length. */
const LENGTHS_TO_CHECK = new Set([...SINGLE, ...NOT_PLAIN].map(({ length }) => length));

export type PlainHead = { head: Http1Head; bodyLength: number };

/** @returns the place after the head, or -1 where its end is missing */
export function endOfHead(bytes: Buffer, start: number): number {
  const found = bytes.indexOf(HEAD_END, start, 'latin1');
  return found < 0 ? -1 : found + HEAD_END.length;
}

/** Null for any other form. @param end as endOfHead returns it */
export function readPlainHead(bytes: Buffer, start: number, end: number): PlainHead | null {
  const text = bytes.toString('latin1', start, end - LINE_END.length);
  const lineEnd = text.indexOf(LINE_END);
  const line = REQUEST_LINE.exec(text.slice(0, lineEnd));
  const lines = text.slice(lineEnd + LINE_END.length);
  const fields = line && FIELDS.test(lines) ? fieldsOf(lines) : null;
  if (!fields || fields.length > MAX_HEADERS) return null;
  const head = new Http1Head(line?.[1] as string, line?.[2] as string, fields);
  const isKept = ['', 'keep-alive'].includes(head.get('connection').toLowerCase());
  const length = head.has('content-length') ? head.get('content-length') : '0';
  return isKept && head.has('host') && LENGTH.test(length) ? { head, bodyLength: Number(length) } : null;
}

type Field = { name: string; value: string };

/** Null for a header that is not plain. */
function fieldsOf(lines: string): Field[] | null {
  const fields: Field[] = [];
  const seen: string[] = [];
  for (let at = 0; at < lines.length; ) {
    const colon = lines.indexOf(':', at);
    const end = lines.indexOf(LINE_END, colon);
    const name = lines.slice(at, colon).toLowerCase();
    if (LENGTHS_TO_CHECK.has(name.length)) {
      if (NOT_PLAIN.includes(name) || seen.includes(name)) return null;
      if (SINGLE.includes(name)) seen.push(name);
    }
    fields.push({ name, value: trimmed(lines, colon + 1, end) });
    at = end + LINE_END.length;
  }
  return fields;
}

/** Without spaces and tabs at its ends. */
function trimmed(text: string, start: number, end: number): string {
  let [from, to] = [start, end];
  while (from < to && isBlank(text.charCodeAt(from))) from += 1;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to -= 1;
  return text.slice(from, to);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
