const UPPER_A = 0x41;
const UPPER_Z = 0x5a;
const CASE = 0x20;
const NOT_ASCII = 0x80;

/** Finds names of headers in bytes, in any case, without making a text of each name. */
export class KnownNames {
  /** Index: the length of the names. */
  readonly #byLength: string[][] = [];

  /** @param names in lower case */
  constructor(names: Iterable<string>) {
    for (const name of names) {
      const others = this.#byLength[name.length];
      if (others) others.push(name);
      else this.#byLength[name.length] = [name];
    }
  }

  /** @returns the name in lower case; empty for an unknown one; null for one that is not ASCII */
  find(bytes: Buffer, from: number, to: number): string | null {
    for (let at = from; at < to; at += 1) if ((bytes[at] as number) >= NOT_ASCII) return null;
    for (const name of this.#byLength[to - from] ?? []) if (isName(name, bytes, from)) return name;
    return '';
  }
}

function isName(name: string, bytes: Buffer, from: number): boolean {
  for (let at = 0; at < name.length; at += 1) {
    const byte = bytes[from + at] as number;
    const lower = byte >= UPPER_A && byte <= UPPER_Z ? byte | CASE : byte;
    if (lower !== name.charCodeAt(at)) return false;
  }
  return true;
}
