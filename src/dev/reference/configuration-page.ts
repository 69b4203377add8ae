import { CONFIGURATION } from '../../config/configuration.ts';
import { anchor, code, escapeTags, linkNames, paragraphs } from './markdown.ts';
import type { Page } from './page.ts';

type Key = (typeof CONFIGURATION)[number];

const PATH = 'docs/reference/configuration.md';
const LIMITS_GROUP = 'Rate limits';
const DOCUMENTED = CONFIGURATION.filter(({ group }) => group !== LIMITS_GROUP);

export const KEY_LINKS = new Map(DOCUMENTED.map(({ name }) => [name, `configuration.md#${anchor(name)}`]));

export function configurationPage(): Page {
  const groups = Map.groupBy(DOCUMENTED, ({ group }) => group);
  return {
    path: PATH,
    text: paragraphs(
      '# Configuration',
      'Latchkey reads its configuration from environment variables.',
      'A process reports every invalid key at once and then does not start. A variable that looks like a misspelled key is invalid, too. `KEY_FILE` names a file with the value, for the keys that allow it.',
      [...groups.keys(), LIMITS_GROUP].map((group) => `- [${group}](#${anchor(group)})`).join('\n'),
      ...[...groups].flatMap(([group, keys]) => [`## ${group}`, ...keys.flatMap(keySection)]),
      `## ${LIMITS_GROUP}`,
      '`LIMIT_<NAME>=<attempts>/<seconds>` changes a limit. [Rate limits](rate-limits.md) lists the names and defaults.',
    ),
  };
}

function keySection(key: Key): string[] {
  const { name, format, unit, isSecret, usedBy, help } = key;
  return [
    `### ${code(name)}`,
    linkNames(escapeTags(help), KEY_LINKS),
    [
      `- Value: ${escapeTags(format)}${unit && !format.includes(unit) ? `, in ${unit}` : ''}`,
      `- ${key.isRequired ? 'Required' : `Default: ${defaultText(key)}`}`,
      `- Used by: ${usedBy.map(code).join(', ')}`,
      ...(isSecret ? [`- Secret: ${code(`${name}_FILE`)} can hold the path of a file with the value`] : []),
    ].join('\n'),
  ];
}

function defaultText({ default: value }: Key): string {
  if (value === null) return 'none';
  return value.includes(' ') ? linkNames(escapeTags(value), KEY_LINKS) : code(value);
}
