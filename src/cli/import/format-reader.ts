import type { Members, Problem } from './members.ts';

/** `note` counts what the import leaves out of the file, by its kind. */
export type ReadContext = {
  isMapped: boolean;
  /** Null without --firebase-parameters. */
  firebase: FirebaseParameters | null;
  now: Date;
  note(kind: string): void;
};

export type FirebaseParameters = { signerKey: string; saltSeparator: string; rounds: string; memoryCost: string };

/** A foreign role or provider that has no counterpart here is left out with a note; an own one is an error of the row. */
export type ReadMembers = {
  members: Members;
  problems?: Problem[];
  isForeign: boolean;
};

/** Null for an entry that is no account of a person. */
export type FormatReader = (entry: Record<string, unknown>, context: ReadContext) => ReadMembers | null;

export function foreign(members: Members): ReadMembers {
  return { members, isForeign: true };
}

/** The full name, or its parts. */
export function nameOf(full: unknown, ...parts: unknown[]): string {
  const joined = parts
    .filter((part) => typeof part === 'string')
    .join(' ')
    .trim();
  return typeof full === 'string' && full.trim() !== '' ? full : joined;
}
