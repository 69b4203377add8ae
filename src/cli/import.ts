// `users import`: reads a file with one JSON object a line.
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { type ImportedUser, importUsers } from '../admin/import-users.ts';
import { OperatorError } from '../process/operator-error.ts';
import type { Operator } from './operator.ts';
import type { Output, Row } from './output.ts';

const BATCH_SIZE = 100;
const NOT_A_USER = 'must be a JSON object with email, full_name, email_verified and password_hash';
const line = z.strictObject({
  email: z.string(),
  full_name: z.string(),
  email_verified: z.boolean().default(false),
  password_hash: z.string().default(''),
});

/** @throws OperatorError after it has printed the lines that were not imported */
export async function importFile({ deps, actor, call }: Operator, file: string, output: Output): Promise<void> {
  const problems: Row[] = [];
  let [imported, existing] = [0, 0];
  let users: ImportedUser[] = [];
  const flush = async () => {
    const result = await importUsers({ ...deps, purposeKeys: null }, { actor, users }, call);
    users = [];
    imported += result.imported.length;
    existing += result.existing.length;
    problems.push(
      ...result.bad.map(({ row, field, description }) => ({ line: String(row), field, problem: description })),
    );
  };
  let number = 0n;
  for await (const text of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
    number += 1n;
    if (text.trim() === '') continue;
    const user = parseLine(text);
    if (user) users.push({ row: number, ...user });
    else problems.push({ line: String(number), field: '', problem: NOT_A_USER });
    if (users.length === BATCH_SIZE) await flush();
  }
  if (users.length > 0) await flush();
  if (problems.length > 0) output.rows(problems, '');
  output.message(`${imported} imported, ${existing} had an account already, ${problems.length} problems`);
  if (problems.length > 0) {
    throw new OperatorError('correct these lines and import the file again: imported accounts stay as they are');
  }
}

function parseLine(text: string): Omit<ImportedUser, 'row'> | null {
  try {
    const {
      email,
      full_name: fullName,
      email_verified: emailVerified,
      password_hash: passwordHash,
    } = line.parse(JSON.parse(text));
    return { email, fullName, emailVerified, passwordHash };
  } catch {
    return null;
  }
}
