import { readFile } from 'node:fs/promises';
import { OperatorError } from '../../process/operator-error.ts';
import { type FirebaseParameters, type FormatReader, foreign } from './format-reader.ts';
import { objectsIn } from './json-value.ts';
import { idMembers } from './kept-id.ts';

const OTHER_SIGN_INS = ['password', 'phone', 'firebase'];
const NEEDS_PARAMETERS =
  'must be computed with the parameters of the Firebase project: save "Password hash parameters" of its console into a file, and name the file by --firebase-parameters';

export const readFirebase: FormatReader = (user, { firebase, note }) => {
  const providers = objectsIn(user.providerUserInfo);
  if (providers.some(({ providerId }) => providerId === 'phone')) note('sign-ins by telephone');
  const { passwordHash, salt } = user;
  const hasPassword = typeof passwordHash === 'string' && typeof salt === 'string' && passwordHash !== '';
  const read = foreign({
    ...idMembers(user.localId),
    email: user.email,
    email_verified: user.emailVerified,
    full_name: user.displayName,
    password_hash: hasPassword && firebase ? hashText(passwordHash, salt, firebase) : '',
    disabled: user.disabled,
    created_at: user.createdAt,
    identities: providers
      .filter(({ providerId }) => !OTHER_SIGN_INS.includes(String(providerId)))
      .map(({ providerId: provider, rawId: subject }) => ({ provider, subject })),
  });
  if (!hasPassword || firebase) return read;
  return { ...read, problems: [{ field: 'passwordHash', problem: NEEDS_PARAMETERS }] };
};

function hashText(
  hash: string,
  salt: string,
  { signerKey, saltSeparator, rounds, memoryCost }: FirebaseParameters,
): string {
  const separator = saltSeparator === '' ? '' : `,ss=${saltSeparator}`;
  return `$fbscrypt$v=1,n=${memoryCost},r=${rounds},p=1${separator},sk=${signerKey}$${salt}$${hash}`;
}

/** Reads the text of the console: `hash_config { algorithm: SCRYPT, base64_signer_key: ..., ... }`. @throws OperatorError */
export async function readFirebaseParameters(file: string): Promise<FirebaseParameters | null> {
  if (file === '') return null;
  const text = await readFile(file, 'utf8');
  const parameter = (name: string) => new RegExp(`${name}"?\\s*[:=]\\s*"?([A-Za-z0-9+/=_-]+)`).exec(text)?.[1] ?? '';
  const parameters = {
    signerKey: parameter('base64_signer_key'),
    saltSeparator: parameter('base64_salt_separator'),
    rounds: parameter('rounds'),
    memoryCost: parameter('mem_cost'),
  };
  const isComplete =
    Buffer.from(parameters.signerKey, 'base64').length === 64 &&
    /^\d{1,2}$/.test(parameters.rounds) &&
    /^\d{1,2}$/.test(parameters.memoryCost);
  if (isComplete) return parameters;
  throw new OperatorError(
    'the file of --firebase-parameters must have base64_signer_key, base64_salt_separator, rounds and mem_cost, as the Firebase console shows them',
  );
}
