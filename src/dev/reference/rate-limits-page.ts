import { KEY_PARTS } from '../../limits/key-parts.ts';
import { isBudget, KEY_PREFIX, LIMITS, type LimitName, pointsWithoutRedis } from '../../limits/limits.ts';
import { code, escapeTags, paragraphs, table } from './markdown.ts';
import type { Page } from './page.ts';

const NAMES = Object.keys(LIMITS) as LimitName[];

export function rateLimitsPage(): Page {
  return {
    path: 'docs/reference/rate-limits.md',
    text: paragraphs(
      '# Rate limits',
      'A limit allows a number of attempts in a window that begins with the first attempt.',
      '`LIMIT_<NAME>=<attempts>/<seconds>` changes a limit: `LIMIT_LOGIN_ACCOUNT=5/900`. While Redis is unavailable each process counts by itself and allows the attempts of the column "Without Redis". [Rate limits](../concepts/rate-limits.md) explains how the limits work together.',
      '## Limits',
      limitTable(NAMES.filter((name) => !isBudget(name))),
      '## Budgets',
      'Budgets count the attempts of the whole deployment. An exceeded budget rejects nothing by itself: while it is exceeded, each network has a quarter of its attempts in the limits that belong to it.',
      limitTable(NAMES.filter(isBudget)),
      '## Keys',
      `A limit is counted in Redis under \`${KEY_PREFIX}:<NAME>:\`, followed by its key.`,
      table(
        ['Part of a key', 'Meaning'],
        Object.entries(KEY_PARTS).map(([part, meaning]) => [code(`<${part}>`), escapeTags(meaning)]),
      ),
    ),
  };
}

function limitTable(names: LimitName[]): string {
  return table(
    ['Name', 'Counts', 'Attempts', 'Window', 'Without Redis', 'Key'],
    names.map((name) => {
      const { points, windowSeconds, key, counts } = LIMITS[name];
      const without = String(pointsWithoutRedis(points));
      return [code(name), escapeTags(counts), String(points), windowText(windowSeconds), without, code(key)];
    }),
  );
}

function windowText(seconds: number): string {
  const [count, unit] = seconds % 3600 === 0 ? [seconds / 3600, 'hour'] : [seconds / 60, 'minute'];
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}
