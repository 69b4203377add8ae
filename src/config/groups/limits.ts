import { LIMITS, type Limit, type LimitName } from '../../limits/limits.ts';
import { limit } from '../formats.ts';
import { API, type Environment, type Keys, parseKeys } from '../key.ts';

export const LIMIT_PREFIX = 'LIMIT_';

export const LIMIT_KEYS: Keys = Object.fromEntries(
  Object.entries(LIMITS).map(([name, { points, windowSeconds, counts }]) => [
    `${LIMIT_PREFIX}${name}`,
    { format: limit, default: `${points}/${windowSeconds}`, usedBy: [...API, 'commands'], help: counts },
  ]),
);

export type LimitSettings = Record<LimitName, Limit>;

const DEFAULTS = Object.fromEntries(
  Object.entries(LIMITS).map(([name, { points, windowSeconds }]) => [name, { points, windowSeconds }]),
) as LimitSettings;

export function readLimits(environment: Environment, problems: string[]): LimitSettings {
  const set = Object.entries(LIMIT_KEYS).filter(([name]) => environment[name] !== undefined);
  const values = parseKeys(Object.fromEntries(set), environment, problems) ?? {};
  const changed = Object.entries(values).map(([name, value]) => [name.slice(LIMIT_PREFIX.length), value]);
  return { ...DEFAULTS, ...Object.fromEntries(changed) };
}
