// The form of a configuration key. src/config owns everything about the environment: its keys, their formats, their
// checks and the settings made of them. It must not construct or connect anything.
import type { z } from 'zod';

export type Environment = Record<string, string | undefined>;

/** `commands` are those for operators, including migrate. */
export type Process = 'serve' | 'worker' | 'commands' | 'dev';

export type Format<T> = {
  /** Completes the sentence "must be ...", such as `an integer from 1 to 10`. */
  text: string;
  schema: z.ZodType<T>;
  unit?: string;
};

export type Key<T = unknown> = {
  format: Format<T>;
  help: string;
  usedBy: readonly Process[];
  /** The text that an operator would write. */
  default?: string;
  /** A description of a default that depends on another value. */
  defaultText?: string;
  isRequired?: true;
  /** `<KEY>_FILE` can hold the path of a file with the value. */
  isSecret?: true;
};

export type Keys = Record<string, Key>;

type Value<K> = K extends { format: Format<infer T> }
  ? K extends { default: string } | { isRequired: true }
    ? T
    : T | undefined
  : never;
export type Values<K extends Keys> = { [name in keyof K]: Value<K[name]> };

export const EVERY_PROCESS = ['serve', 'worker', 'commands', 'dev'] as const;
export const SERVICE = ['serve', 'worker', 'dev'] as const;
export const API = ['serve', 'dev'] as const;
export const WORKER = ['worker', 'dev'] as const;

/** @param problems receives sentences that never repeat a value @returns null when a key is missing or invalid */
export function parseKeys<K extends Keys>(keys: K, environment: Environment, problems: string[]): Values<K> | null {
  const count = problems.length;
  const values = Object.entries(keys).map(([name, key]) => [name, parseKey(name, key, environment[name], problems)]);
  return problems.length === count ? (Object.fromEntries(values) as Values<K>) : null;
}

function parseKey(name: string, key: Key, text: string | undefined, problems: string[]): unknown {
  const effective = text ?? key.default;
  if (effective === undefined) {
    if (key.isRequired) problems.push(`${name} is missing`);
    return undefined;
  }
  const { data, error } = key.format.schema.safeParse(effective);
  problems.push(...new Set(error?.issues.map(({ message }) => `${name} ${message}`)));
  return data;
}
