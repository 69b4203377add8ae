import { type HashKind, TooCostly } from './hash-family.ts';
import { HASH_FAMILIES, parseStoredHash } from './stored-hash.ts';

/** Null for an unreadable hash. */
export function kindOf(hash: string): HashKind | null {
  try {
    return parseStoredHash(hash)?.kind ?? null;
  } catch (error) {
    if (error instanceof TooCostly) return null;
    throw error;
  }
}

export function decoysOf(kind: HashKind): string[] {
  return kind.work === 0 ? [] : familyOf(kind).decoys(kind);
}

export function estimateMs(kind: HashKind): number {
  return familyOf(kind).estimateMs(kind);
}

function familyOf({ family }: HashKind) {
  const found = HASH_FAMILIES.find((one) => one.owns(family));
  if (!found) throw new Error(`unknown family of password hashes: ${family}`);
  return found;
}
