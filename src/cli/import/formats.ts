import { OperatorError } from '../../process/operator-error.ts';
import { readAuth0 } from './auth0.ts';
import { readCognito } from './cognito.ts';
import { csvRecords, type Entry, jsonElements, jsonLines } from './entries.ts';
import { readFirebase } from './firebase.ts';
import type { FormatReader } from './format-reader.ts';
import { readKeycloak } from './keycloak.ts';
import { readLatchkey } from './latchkey.ts';
import { readSupabase } from './supabase.ts';

type Text = AsyncIterable<string>;
type Shape = (text: Text, first: string) => AsyncGenerator<Entry>;

export type Format = { help: string; entries: Shape; read: FormatReader };

/** A list or one object a line, whichever the first character says. */
const listOrLines: Shape = (text, first) => (first === '[' ? jsonElements(text, ['$.*']) : jsonLines(text));

export const FORMATS: Record<string, Format> = {
  latchkey: { help: 'JSON objects, one a line or in a list', entries: listOrLines, read: readLatchkey },
  csv: { help: 'CSV whose columns have the names of our members', entries: csvRecords, read: readLatchkey },
  keycloak: {
    help: 'realm export with users',
    entries: (text) => jsonElements(text, ['$.users.*', '$.*.users.*']),
    read: readKeycloak,
  },
  auth0: { help: 'export of password hashes, or of users', entries: listOrLines, read: readAuth0 },
  firebase: {
    help: 'auth:export as JSON; password hashes need --firebase-parameters',
    entries: (text) => jsonElements(text, ['$.users.*']),
    read: readFirebase,
  },
  supabase: { help: 'CSV of auth.users', entries: csvRecords, read: readSupabase },
  cognito: {
    help: 'CSV, or the JSON of list-users',
    entries: (text, first) => (first === '{' ? jsonElements(text, ['$.Users.*']) : csvRecords(text)),
    read: readCognito,
  },
};

/** The beginning of a file that only one format has. */
const SIGNS: [RegExp, string][] = [
  [/^\s*\[?\s*\{[\s\S]{0,4000}"(realm|defaultSignatureAlgorithm)"\s*:/, 'keycloak'],
  [/^\s*\{\s*"users"\s*:\s*\[\s*\{[\s\S]{0,2000}"localId"\s*:/, 'firebase'],
  [/^\s*\{\s*"Users"\s*:\s*\[/, 'cognito'],
  [/^[^\n]*\bcognito:username\b/, 'cognito'],
  [/^[^\n]*\binstance_id\b[^\n]*\bencrypted_password\b/, 'supabase'],
  [/^\s*\[?\s*\{[^\n]*"(_id"\s*:\s*\{"\$oid"|passwordHash"|user_id"\s*:\s*"auth0\|)/, 'auth0'],
  [/^\s*[[{]/, 'latchkey'],
  [/^[^\n]*\bemail\b[^\n]*,|^[^\n]*,[^\n]*\bemail\b/, 'csv'],
];

/** @param name empty to detect the format @throws OperatorError */
export function formatOf(name: string, beginning: string): [name: string, format: Format] {
  const found = name === '' ? SIGNS.find(([sign]) => sign.test(beginning))?.[1] : name;
  const format = found !== undefined && Object.hasOwn(FORMATS, found) ? FORMATS[found] : undefined;
  if (found !== undefined && format) return [found, format];
  const names = Object.keys(FORMATS).join(', ');
  throw new OperatorError(
    name === ''
      ? `the format of the file is unclear: name it by --format (${names})`
      : `--format must be one of ${names}`,
  );
}
