// The JSON of a credential in Keycloak's realm export and database. Former releases had all members in one object.
import { decodeBase64, encodeBase64 } from './hash-text.ts';

const VERSIONS: Record<string, string> = { '1.3': '19', '1.0': '16' };
const PBKDF2: Record<string, string> = {
  pbkdf2: 'sha1',
  'pbkdf2-sha256': 'sha256',
  'pbkdf2-sha512': 'sha512',
};

/** Null for any other text. */
export function translateKeycloak(text: string): string | null {
  if (!text.startsWith('{"')) return null;
  const credential = parseObject(text);
  const secret = parseObject(credential.secretData) ?? {};
  const settings = parseObject(credential.credentialData) ?? {};
  const value = decodeBase64(textOf(secret.value ?? credential.hashedSaltedValue));
  const salt = decodeBase64(textOf(secret.salt ?? credential.salt));
  const rounds = Number(settings.hashIterations ?? credential.hashIterations);
  const algorithm = textOf(settings.algorithm ?? credential.algorithm);
  // The extension for bcrypt keeps the whole hash as the value.
  if (algorithm === 'bcrypt') return textOf(secret.value);
  if (!value || !salt || !Number.isSafeInteger(rounds)) return null;
  const [saltText, valueText] = [encodeBase64(salt), encodeBase64(value)];
  if (algorithm === 'argon2') {
    const parameters = parseObject(settings.additionalParameters);
    const [type, memory, lanes] = ['type', 'memory', 'parallelism'].map((name) => first(parameters[name]));
    const version = VERSIONS[first(parameters.version)] ?? '19';
    return `$argon2${type}$v=${version}$m=${memory},t=${rounds},p=${lanes}$${saltText}$${valueText}`;
  }
  const digest = Object.hasOwn(PBKDF2, algorithm) ? PBKDF2[algorithm] : undefined;
  return digest === undefined ? null : `$pbkdf2-${digest}$i=${rounds}$${saltText}$${valueText}`;
}

/** An object, or the text of one. Empty for anything else. */
function parseObject(value: unknown): Record<string, unknown> {
  try {
    const parsed: unknown = typeof value === 'string' ? JSON.parse(value) : value;
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function first(value: unknown): string {
  return textOf(Array.isArray(value) ? value[0] : value);
}
