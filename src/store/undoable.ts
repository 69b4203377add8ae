import type { Db } from './postgres/database.ts';

/** Rolls the transaction back. */
class Undone extends Error {
  readonly word: string;

  constructor(word: string) {
    super(word);
    this.word = word;
  }
}

/** @param work can call `undo` with the word to return. The transaction then changes nothing. */
export async function undoable<T, Word extends string>(
  db: Db,
  work: (trx: Db, undo: (word: Word) => never) => Promise<T>,
): Promise<T | Word> {
  try {
    return await db.transaction().execute((trx) =>
      work(trx, (word) => {
        throw new Undone(word);
      }),
    );
  } catch (error) {
    if (error instanceof Undone) return error.word as Word;
    throw error;
  }
}
