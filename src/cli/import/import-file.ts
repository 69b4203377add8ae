// `users import`: reads a file of another system in pieces and imports it by a hundred accounts.

import { type ImportOutcome, importUsers } from '../../admin/import-users.ts';
import type { ImportedUser } from '../../admin/imported-user.ts';
import { readIssuers } from '../../config/groups/providers.ts';
import type { Environment } from '../../config/key.ts';
import type { KeyRing } from '../../domain/key-ring.ts';
import { OperatorError } from '../../process/operator-error.ts';
import type { Operator } from '../operator.ts';
import type { Output } from '../output.ts';
import { readFirebaseParameters } from './firebase.ts';
import { formatOf } from './formats.ts';
import { readMapping } from './mapping.ts';
import type { Problem } from './members.ts';
import { type Account, readAccounts } from './read-accounts.ts';
import { checkEncoding, textOf } from './read-text.ts';
import { createReport, type Report } from './report.ts';

export type ImportOptions = {
  format: string;
  encoding: string;
  map: string;
  'firebase-parameters': string;
  report: string;
  reason: string;
  'dry-run': boolean;
};

const BATCH_SIZE = 100;
/** Formats are detected in this much of a file. */
const BEGINNING = 16_384;

const FILE_PROBLEMS: Record<string, string> = {
  ENOENT: 'does not exist: correct the path',
  EISDIR: 'is a folder: name a file',
  EEXIST: 'exists: name a new file for the report',
  EACCES: 'may not be read or written by this user',
};

/** @throws OperatorError after it has printed the entries that were not imported */
export async function importFile(...input: Parameters<typeof importAll>): Promise<void> {
  try {
    await importAll(...input);
  } catch (error) {
    const { code = '', path } = error as NodeJS.ErrnoException;
    const problem = FILE_PROBLEMS[code];
    throw problem === undefined ? error : new OperatorError(`${path ?? 'the file'} ${problem}`);
  }
}

async function importAll(
  operator: Operator,
  { file, options, environment }: { file: string; options: ImportOptions; environment: Environment },
  output: Output,
): Promise<void> {
  const dryRun = options['dry-run'];
  await using report = await createReport(options.report);
  const providers = readIssuers(environment);
  const accounts = await openAccounts(file, options, { providers, now: operator.deps.now(), report });
  let totpKeys: KeyRing | null = null;
  const write = async (users: ImportedUser[]) => {
    if (users.some(hasTotpSecret)) totpKeys ??= (await operator.purposeKeys()).totpSecrets;
    return importUsers(
      { ...operator.deps, providers, purposeKeys: null, totpKeys },
      { actor: operator.actor, users, reason: options.reason, dryRun },
      operator.call,
    );
  };
  for await (const batch of batchesOf(accounts)) await importBatch(batch, write, report);
  report.print(output, dryRun);
  if (report.rejected() > 0) {
    throw new OperatorError(
      dryRun
        ? 'correct these entries: the others can be imported'
        : 'correct these entries and import the file again: imported accounts stay as they are',
    );
  }
}

function hasTotpSecret({ factors }: ImportedUser): boolean {
  return factors.some(({ totpUri }) => totpUri !== '');
}

async function openAccounts(
  file: string,
  options: ImportOptions,
  { providers, now, report }: { providers: ReadonlyMap<string, unknown>; now: Date; report: Report },
): Promise<AsyncGenerator<Account>> {
  const mapping = await readMapping(options.map);
  const firebase = await readFirebaseParameters(options['firebase-parameters']);
  const encoding = await checkEncoding(file, options.encoding);
  const beginning = await beginningOf(textOf(file, encoding));
  const [, format] = formatOf(options.format, beginning);
  const entries = format.entries(textOf(file, encoding), beginning.trimStart().slice(0, 1));
  const isMapped = Object.keys(mapping.fields).length > 0;
  return readAccounts(entries, {
    ...{ read: format.read, mapping, isMapped, firebase, now, note: report.note },
    providers: new Set(providers.keys()),
  });
}

async function beginningOf(text: AsyncIterable<string>): Promise<string> {
  let beginning = '';
  for await (const piece of text) {
    beginning += piece;
    if (beginning.length >= BEGINNING) break;
  }
  return beginning.slice(0, BEGINNING);
}

async function* batchesOf(accounts: AsyncIterable<Account>): AsyncGenerator<Account[]> {
  let batch: Account[] = [];
  for await (const account of accounts) {
    batch.push(account);
    if (batch.length < BATCH_SIZE) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

async function importBatch(
  batch: Account[],
  write: (users: ImportedUser[]) => Promise<ImportOutcome>,
  report: Report,
): Promise<void> {
  const { imported, existing, bad } = await write(batch.flatMap((one) => ('user' in one ? [one.user] : [])));
  const userIds = new Map([...imported, ...existing].map(({ row, userId }) => [Number(row), userId]));
  const isExisting = new Set(existing.map(({ row }) => Number(row)));
  const problemsOf = (entry: number): Problem[] =>
    bad
      .filter(({ row }) => Number(row) === entry)
      .map(({ field, description }) => ({ field: field === 'user_id' ? 'id' : field, problem: description }));
  for (const account of batch) {
    const { line, entry } = account;
    const problems = 'problems' in account ? account.problems : problemsOf(entry);
    const result = isExisting.has(entry) ? ('existing' as const) : ('imported' as const);
    if (problems.length > 0) await report.reject({ line, entry }, problems);
    else await report.accept({ line, entry }, result, userIds.get(entry) ?? '');
  }
}
