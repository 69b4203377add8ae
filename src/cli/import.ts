// `users import`: a file with a JSON object a line.
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { type ImportedUser, importUsers } from '../admin/import-users.ts';
import { OperatorError } from '../process/operator-error.ts';
import type { Operator } from './operator.ts';
import type { Output, Row } from './output.ts';

const AT_ONCE = 100;
const line = z.strictObject({
  email: z.string(),
  full_name: z.string(),
  email_verified: z.boolean().default(false),
  password_hash: z.string().default(''),
});

/** @throws OperatorError when there were bad lines, after it has said which */
export async function importFile({ deps, actor, call }: Operator, file: string, output: Output): Promise<void> {
  const bad: Row[] = [];
  let [imported, existing] = [0, 0];
  let users: ImportedUser[] = [];
  const flush = async () => {
    const done = await importUsers({ ...deps, purposeKeys: null }, { actor, users }, call);
    users = [];
    imported += done.imported.length;
    existing += done.existing.length;
    bad.push(...done.bad.map(({ row, field, description }) => ({ line: String(row), field, problem: description })));
  };
  let number = 0n;
  for await (const text of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
    number += 1n;
    if (text.trim() === '') continue;
    const user = parseLine(text);
    if (user) users.push({ row: number, ...user });
    else
      bad.push({
        line: String(number),
        field: '',
        problem: 'is no JSON object with email, full_name, email_verified and password_hash',
      });
    if (users.length === AT_ONCE) await flush();
  }
  if (users.length > 0) await flush();
  if (bad.length > 0) output.rows(bad, '');
  output.say(`${imported} imported, ${existing} had an account already, ${bad.length} problems`);
  if (bad.length > 0)
    throw new OperatorError('mend these lines and import the file again: the others stay as they are');
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
