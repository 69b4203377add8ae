// The configuration as this process would use it, for `config check`: each key with its value and the source of it.
import { ConfigError, readConfig } from './config.ts';
import { CONFIGURATION, KEYS_BY_NAME } from './configuration.ts';
import { readEnvironment } from './environment.ts';
import { providerNames, providerPrefix } from './groups/providers.ts';
import type { Environment, Key } from './key.ts';
import { maskedPlain, maskedSecret } from './masked-value.ts';

export type Setting = {
  key: string;
  /** Without secrets. Null when the key has none. */
  value: string | null;
  source: 'environment' | 'file' | 'default' | 'none';
  isSecret: boolean;
};

export type EffectiveConfiguration = { settings: Setting[]; policyFile: string | null; problems: string[] };

const PROVIDER_PLACE = /^OAUTH_<NAME>_/;

export function effectiveConfiguration(environment: Environment): EffectiveConfiguration {
  const { values } = readEnvironment(environment);
  const settings = CONFIGURATION.flatMap(({ name }) =>
    namesOf(name, values).map((own) => settingOf(own, KEYS_BY_NAME.get(name) as Key, { values, environment })),
  );
  return { settings, policyFile: values.POLICY_FILE ?? null, problems: problemsOf(environment) };
}

function namesOf(name: string, values: Environment): string[] {
  if (!PROVIDER_PLACE.test(name)) return [name];
  return providerNames(values).map((provider) => name.replace(PROVIDER_PLACE, providerPrefix(provider)));
}

function settingOf(
  name: string,
  key: Key,
  { values, environment }: { values: Environment; environment: Environment },
): Setting {
  const isSecret = key.isSecret === true;
  const value = values[name];
  if (value === undefined) {
    const text = key.default || key.defaultText || null;
    return { key: name, value: text, source: text === null ? 'none' : 'default', isSecret };
  }
  const isFromFile = isSecret && Boolean(environment[`${name}_FILE`]);
  return { key: name, value: shown(name, key, value), source: isFromFile ? 'file' : 'environment', isSecret };
}

/** An invalid value can be a secret in the wrong place. */
function shown(name: string, key: Key, value: string): string {
  if (!key.format.schema.safeParse(value).success) return '(invalid)';
  return key.isSecret ? maskedSecret(name, value) : maskedPlain(value);
}

function problemsOf(environment: Environment): string[] {
  try {
    readConfig(environment);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}
