// Messages that cost a decoder as much as their bytes allow. They are made from the fields of any method's input, so that a new
// method is covered without a change here.
import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf';

export type Costly = { name: string; bytes: Buffer; isJson: boolean };

/** Slightly smaller than the largest message. */
const SIZE = 64 * 1024 - 64;
const DEEP = 64;

export function costlyMessages(desc: DescMessage): Costly[] {
  return [
    ...protobuf(desc).map(([name, bytes]) => ({ name, bytes, isJson: false })),
    ...json(desc).map(([name, text]) => ({ name: `${name} in JSON`, bytes: Buffer.from(text), isJson: true })),
  ];
}

function protobuf(desc: DescMessage): [name: string, bytes: Buffer][] {
  const found: [string, Buffer][] = [
    ['unknown fields', fill([0xf8, 0x7f, 0])],
    ['unknown empty fields', fill([0xfa, 0x7f, 0])],
    ['unknown long varints', fill([0xf8, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1])],
    ['unknown groups', fill([0xfb, 0x7f])],
    ['one byte over and over', fill([0x0a])],
    ['zeros', fill([0])],
    ['a tag that does not end', fill([0x80])],
    ['one long unknown field', lengthDelimited(2_047, Buffer.alloc(SIZE - 8, 'x'))],
  ];
  for (const { path, field } of paths(desc, [], 0)) {
    const name = `${path.map((one) => one.name).join('.')}`;
    const wrap = (inner: Buffer) =>
      path.slice(0, -1).reduceRight((bytes, one) => lengthDelimited(one.number, bytes), inner);
    const isNested = field.message || field.fieldKind === 'map';
    found.push([`empty ${name}`, wrap(fill([...tag(field.number, wireTypeOf(field)), 0]))]);
    if (isNested) continue;
    if (wireTypeOf(field) === 2) {
      const content = Buffer.alloc(SIZE - 64, field.scalar === ScalarType.STRING ? 'é' : 'x');
      found.push([`one long ${name}`, wrap(lengthDelimited(field.number, content))]);
      found.push([`digits in ${name}`, wrap(lengthDelimited(field.number, Buffer.alloc(SIZE - 64, '9')))]);
    }
  }
  const recursive = paths(desc, [], 0).find(({ field }) => field.message === desc);
  if (recursive) {
    let inner: Buffer = Buffer.alloc(0);
    for (let n = 0; n < 1_000; n += 1) inner = lengthDelimited(recursive.field.number, inner);
    found.push(['itself in itself', inner]);
  }
  return found;
}

function json(desc: DescMessage): [name: string, text: string][] {
  const members = (make: (n: number) => string) => `{${upTo(make).join(',')}}`;
  const found: [string, string][] = [
    ['unknown members', members((n) => `"a${n}":1`)],
    ['one member over and over', members(() => '"a":1')],
    ['brackets', '['.repeat(SIZE)],
    ['objects in objects', '{"a":'.repeat(SIZE / 5)],
    ['a long number', `{"a":${'9'.repeat(SIZE - 10)}}`],
    ['white space', `{${' '.repeat(SIZE - 2)}}`],
    ['escapes', `{"a":"${'\\u0000'.repeat(SIZE / 6 - 2)}"}`],
    ['quotes', '"'.repeat(SIZE)],
  ];
  for (const { jsonName, fieldKind } of desc.fields) {
    const isList = fieldKind === 'list';
    found.push([`long ${jsonName}`, `{"${jsonName}":"${'é'.repeat(SIZE / 2 - 20)}"}`]);
    found.push([`digits in ${jsonName}`, `{"${jsonName}":"${'9'.repeat(SIZE - 40)}"}`]);
    found.push([`elements of ${jsonName}`, `{"${jsonName}":[${upTo(() => (isList ? '""' : '{}')).join(',')}]}`]);
    found.push([`members of ${jsonName}`, `{"${jsonName}":${members((n) => `"k${n}":""`).slice(0, SIZE - 40)}}`]);
    found.push([`${jsonName} over and over`, members(() => `"${jsonName}":""`)]);
  }
  return found;
}

/** All fields of a message and of the messages in it, each with its path. */
function paths(desc: DescMessage, before: DescField[], depth: number): { path: DescField[]; field: DescField }[] {
  if (depth > 3) return [];
  return desc.fields.flatMap((field) => {
    const path = [...before, field];
    const inner = field.fieldKind === 'map' || !field.message ? [] : paths(field.message, path, depth + 1);
    return [{ path, field }, ...inner];
  });
}

function wireTypeOf(field: DescField): number {
  if (field.message || field.fieldKind === 'map') return 2;
  if (field.scalar === ScalarType.STRING || field.scalar === ScalarType.BYTES) return 2;
  return field.scalar === ScalarType.DOUBLE ? 1 : 0;
}

function fill(unit: number[]): Buffer {
  return Buffer.concat(Array(Math.floor((SIZE - DEEP) / unit.length)).fill(Buffer.from(unit)));
}

function upTo(make: (n: number) => string): string[] {
  const items: string[] = [];
  for (let size = 20, n = 0; size < SIZE - 60; n += 1) {
    const item = make(n);
    items.push(item);
    size += item.length + 1;
  }
  return items;
}

function tag(number: number, wireType: number): number[] {
  return varint(number * 8 + wireType);
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  return [...bytes, rest];
}

function lengthDelimited(number: number, content: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([...tag(number, 2), ...varint(content.length)]), content]);
}
