import { InvalidValue } from './parse-fields.ts';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** @throws InvalidValue unless the text is a UUID in its canonical lower-case form (RFC 9562 section 4) */
export function parseUuid(text: string): string {
  if (!isUuid(text)) throw new InvalidValue('must be a UUID in lower case');
  return text;
}

export function isUuid(text: string): boolean {
  return UUID.test(text);
}

export function uuidToBytes(uuid: string): Buffer {
  return Buffer.from(uuid.replaceAll('-', ''), 'hex');
}

export function uuidFromBytes(bytes: Buffer): string {
  return bytes.toString('hex').replace(/(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
