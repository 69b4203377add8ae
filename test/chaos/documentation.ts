// Puts the table of a run into docs/guides/chaos.md.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { ROOT } from './operator.ts';
import type { Row } from './row.ts';
import { markdownTable, remarksList } from './table.ts';

const DOCUMENT = join(ROOT, 'docs/guides/chaos.md');
const BEGIN = '<!-- begin: npm run chaos -- --write-docs -->';
const END = '<!-- end -->';

export function writeDocumentation(rows: Row[]): void {
  const text = readFileSync(DOCUMENT, 'utf8');
  const [before, rest] = text.split(BEGIN);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined)
    throw new Error(`${DOCUMENT} has lost its marks: ${BEGIN} ... ${END}`);
  const faults = rows.map(({ fault, does }) => `- **${fault}**: ${does}.`).join('\n');
  const parts = [`${origin()}.`, markdownTable(rows), '### Remarks', remarksList(rows), '### The faults', faults];
  writeFileSync(DOCUMENT, `${before}${BEGIN}\n\n${parts.join('\n\n')}\n\n${END}${after}`);
}

/** The day, the commit and the machine. */
function origin(): string {
  const commit = execFileSync('git', ['-C', ROOT, 'describe', '--always', '--dirty'], { encoding: 'utf8' }).trim();
  const day = new Date().toISOString().slice(0, 10);
  const memory = Math.round(totalmem() / 1024 ** 3);
  const model = cpus()[0]?.model ?? 'unknown processor';
  return `Run on ${day} at commit ${commit}, on ${availableParallelism()} cores (${model}) and ${memory} GB`;
}
