import { readFileSync } from 'node:fs';
import { cleartextProblems } from './cleartext.ts';
import { CONFIGURATION } from './configuration.ts';
import { itemsOf } from './formats.ts';
import { providerSecrets } from './groups/providers.ts';
import type { Environment } from './key.ts';
import { hasWeakPassword } from './url-formats.ts';

const SECRETS = CONFIGURATION.filter(({ name, isSecret }) => isSecret && !name.includes('<')).map(({ name }) => name);

/** Orchestrators pass an empty value for a variable without a value, so empty values are dropped. */
export function readEnvironment(environment: Environment): { values: Environment; problems: string[] } {
  const problems: string[] = [];
  const values = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''));
  for (const key of [...SECRETS, ...providerSecrets(values)]) readSecretFile(key, values, problems);
  if (values.NODE_ENV === 'production') {
    problems.push(...weakPasswords(values), ...cleartextProblems(values, itemsOf(values.ALLOW_CLEARTEXT ?? '')));
  }
  return { values, problems };
}

function readSecretFile(key: string, values: Environment, problems: string[]): void {
  const file = values[`${key}_FILE`];
  if (file === undefined) return;
  if (values[key] !== undefined) problems.push(`${key} and ${key}_FILE are both set: remove one of them`);
  try {
    delete values[`${key}_FILE`];
    values[key] = readFileSync(file, 'utf8').trim();
  } catch (error) {
    problems.push(`${key}_FILE cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

function weakPasswords(values: Environment): string[] {
  return SECRETS.filter((key) => key.endsWith('_URL') && hasWeakPassword(values[key] ?? '')).map(
    (key) => `${key} has a password that is short or a sample`,
  );
}
