// Our own format, whose names `fields` of --map can change.
import type { FormatReader } from './format-reader.ts';
import { MEMBERS } from './members.ts';

const UNKNOWN = `is not one of ${MEMBERS.join(', ')}: remove it, or name the members of the file by --map`;

export const readLatchkey: FormatReader = (entry, { isMapped }) => {
  const unknown = Object.keys(entry).filter((name) => !MEMBERS.some((member) => member === name));
  const members = Object.fromEntries(
    MEMBERS.filter((name) => Object.hasOwn(entry, name)).map((name) => [name, entry[name]]),
  );
  const problems = isMapped ? [] : unknown.map((name) => ({ field: name.slice(0, 40), problem: UNKNOWN }));
  return { members, problems, isForeign: false };
};
