import { type FileHandle, open } from 'node:fs/promises';
import type { Output, Row } from '../output.ts';
import type { Problem } from './members.ts';

type Place = { line: number; entry: number };

export type Report = AsyncDisposable & {
  accept(place: Place, result: 'imported' | 'existing', userId: string): Promise<void>;
  reject(place: Place, problems: Problem[]): Promise<void>;
  /** Counts something of the file that is left out. */
  note: (kind: string) => void;
  rejected(): number;
  print(output: Output, isDryRun: boolean): void;
};

/** A terminal shows the first ones. The file of --report has all. */
const MAX_PRINTED = 1_000;
const MAX_NOTES = 100;

/** @param path of a file that receives one JSON object for each entry; empty for none */
export async function createReport(path: string): Promise<Report> {
  const file = path === '' ? null : await open(path, 'wx', 0o600);
  const counts = { imported: 0, existing: 0, rejected: 0, problems: 0 };
  const notes = new Map<string, number>();
  const printed: Row[] = [];

  return {
    async accept(place, result, userId) {
      counts[result] += 1;
      await write(file, { ...place, result, user_id: userId });
    },

    async reject(place, problems) {
      counts.rejected += 1;
      counts.problems += problems.length;
      for (const problem of problems) {
        if (printed.length < MAX_PRINTED) printed.push({ ...place, ...problem });
        await write(file, { ...place, result: 'rejected', ...problem });
      }
    },

    note(kind) {
      const name = notes.has(kind) || notes.size < MAX_NOTES ? kind : 'others';
      notes.set(name, (notes.get(name) ?? 0) + 1);
    },

    rejected: () => counts.rejected,

    print(output, isDryRun) {
      if (printed.length > 0) output.rows(printed, '');
      if (counts.problems > printed.length) output.message(`... and ${counts.problems - printed.length} more problems`);
      for (const [kind, count] of notes) output.message(`left out: ${kind} (${count})`);
      const verb = isDryRun ? 'would be imported' : 'imported';
      output.message(
        `${counts.imported} ${verb}, ${counts.existing} had an account already, ${counts.rejected} rejected`,
      );
    },

    async [Symbol.asyncDispose]() {
      await file?.close();
    },
  };
}

async function write(file: FileHandle | null, line: object): Promise<void> {
  await file?.write(`${JSON.stringify(line)}\n`);
}
