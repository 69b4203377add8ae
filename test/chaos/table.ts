// The table of a run, as Markdown.
import type { Row } from './row.ts';
import { createTally } from './tally.ts';

const HEAD = [
  'fault',
  'acknowledged',
  'lost',
  'duplicated',
  'invented',
  'wrong',
  'worst revocation',
  'recovery',
  'effects',
];

export function markdownTable(rows: Row[]): string {
  const lines = rows.map((row) => `| ${cells(row).join(' | ')} |`);
  return [`| ${HEAD.join(' | ')} |`, `|---|${'---:|'.repeat(HEAD.length - 1)}`, ...lines].join('\n');
}

export function cells(row: Row): string[] {
  if (row.skipped !== null) return [row.fault, 'not run', ...Array.from({ length: HEAD.length - 2 }, () => '')];
  const counts = [row.lost, row.duplicated, row.invented, row.wrong].map((list) => String(list.length));
  const recovery = row.recoveryMs === null ? 'none' : seconds(row.recoveryMs);
  return [
    row.fault,
    String(row.acknowledged),
    ...counts,
    seconds(row.worstRevocationMs),
    recovery,
    seconds(row.settledMs),
  ];
}

/** The text of a row besides its numbers. */
export function remarks(row: Row): string[] {
  const kinds = ['lost', 'duplicated', 'invented', 'wrong'] as const;
  const found = kinds
    .filter((kind) => row[kind].length > 0)
    .map((kind) => `${kind}: ${createTally(row[kind]).sentences().join('; ')}`);
  return [...(row.skipped === null ? [] : [`not run: ${row.skipped}`]), ...found, ...row.notes];
}

export function remarksList(rows: Row[]): string {
  return rows
    .map((row) => ({ row, lines: remarks(row) }))
    .filter(({ lines }) => lines.length > 0)
    .map(({ row, lines }) => `- **${row.fault}**: ${lines.join('. ')}.`)
    .join('\n');
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}
