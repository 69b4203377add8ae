// A family computes hashes of one algorithm. Stored hashes have the form `$name$parameters$salt$digest` or bcrypt's own.

export type HashKind = {
  family: string;
  /** In units of the family. Units add up: hashes of 1 and 3 units take as long as one of 4 units. */
  work: number;
};

export type StoredHash = { kind: HashKind; compare(password: string): Promise<boolean> };

export type HashFamily = {
  /** Null for a hash of another family. @throws TooCostly for a cost out of bounds */
  parse(text: string): StoredHash | null;
  /** Whether `HashKind.family` is one of this family. */
  owns(family: string): boolean;
  /** Hashes that together take the work of the kind. */
  decoys(kind: HashKind): string[];
  /** An estimate for a server core, to separate acceptable hashes from too costly ones. */
  estimateMs(kind: HashKind): number;
};

export class TooCostly extends Error {}

/** @throws TooCostly */
export function assertCost(isWithinBounds: boolean): void {
  if (!isWithinBounds) throw new TooCostly();
}

export function isWithin(value: number, least: number, most: number): boolean {
  return value >= least && value <= most;
}
