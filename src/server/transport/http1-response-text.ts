// A whole response of HTTP/1.1 as one text of Latin-1, with the same headers that node:http adds.
import { STATUS_CODES, validateHeaderName, validateHeaderValue } from 'node:http';
import type { HeaderBlock } from '../../http2/hpack/header-block.ts';
import { httpDate } from './http-date.ts';

/** A larger body costs more to copy than a write of its own. */
export const MAX_TEXT_BYTES = 16 * 1024;

/** Some heads serve many responses. */
const texts = new WeakMap<HeaderBlock, string>();

/**
 * @param keepAliveMs time that an idle connection stays open
 * @throws TypeError for an invalid header
 */
export function responseText(head: HeaderBlock, body: Uint8Array | null, keepAliveMs: number): string {
  const known = texts.get(head) ?? headText(head);
  texts.set(head, known);
  const keepAlive = `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(keepAliveMs / 1000)}`;
  const text = `${known}Date: ${httpDate()}\r\n${keepAlive}\r\n\r\n`;
  return body ? text + latin1Of(body) : text;
}

function headText({ status, fields }: HeaderBlock): string {
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status ?? 0] ?? 'unknown'}\r\n`;
  for (let at = 0; at < fields.length; at += 2) {
    const [name, value] = [fields[at] as string, fields[at + 1] as string];
    validateHeaderName(name);
    validateHeaderValue(name, value);
    text += `${name}: ${value}\r\n`;
  }
  return text;
}

export function latin1Of({ buffer, byteOffset, length }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, length).toString('latin1');
}
