// `npm run chaos` breaks a real deployment in many ways under load, and compares its data with the calls it has acknowledged.
import { parseArgs } from 'node:util';
import { OperatorError } from '../../src/process/operator-error.ts';
import { writeDocumentation } from './documentation.ts';
import type { Fault } from './fault.ts';
import { FAULTS, faultNamed } from './faults/catalogue.ts';
import { chooseOldRevision } from './releases.ts';
import type { Row } from './row.ts';
import { createFaultRunner } from './run-faults.ts';
import { runSelfTest } from './self-test.ts';
import { cells, markdownTable, remarks, remarksList } from './table.ts';

const USAGE = `usage: npm run chaos -- [options] [fault ...]

  --list          the names of the faults, and what each does
  --seconds <n>   how long each fault lasts at least
  --old <rev>     the revision that rolling-upgrade begins with
  --json          one JSON object a row
  --write-docs    writes the table into docs/guides/chaos.md
  --self-test     plants bugs and checks that each is found
`;

const OPTIONS = {
  list: { type: 'boolean' },
  seconds: { type: 'string' },
  old: { type: 'string' },
  json: { type: 'boolean' },
  'write-docs': { type: 'boolean' },
  'self-test': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** @throws OperatorError */
function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (!Number.isInteger(seconds) || seconds < 0 || seconds > 600) throw new OperatorError('--seconds must be 0 to 600');
  return seconds;
}

async function runAll(faults: Fault[], holdSeconds: number, report: (row: Row) => void): Promise<Row[]> {
  const runner = createFaultRunner();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => void runner.stop().finally(() => process.exit(130)));
  }
  const rows: Row[] = [];
  try {
    for (const fault of faults) {
      const row = await runner.run(fault, holdSeconds);
      rows.push(row);
      report(row);
    }
    return rows;
  } finally {
    await runner.stop();
  }
}

function reportJson(row: Row): void {
  console.log(JSON.stringify(row));
}

/** Before the table exists. */
function reportProgress(row: Row): void {
  const repeated = row.interruptions.length === 0 ? [] : [`repeated after: ${row.interruptions.join('; ')}`];
  console.error([cells(row).join('  '), ...remarks(row), ...repeated].join('\n    '));
}

/** @returns whether no row has a problem */
async function main(): Promise<boolean> {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: OPTIONS });
  if (values.help || values.list) {
    console.log(values.help ? USAGE : FAULTS.map(({ name, does }) => `${name.padEnd(26)} ${does}`).join('\n'));
    return true;
  }
  if (values['self-test']) return (await runSelfTest((sentence) => console.error(sentence))).length === 0;
  if (values.old !== undefined) chooseOldRevision(values.old);
  const faults = positionals.length === 0 ? FAULTS : positionals.map(faultNamed);
  const report = values.json ? reportJson : reportProgress;
  const rows = await runAll(faults, parseSeconds(values.seconds ?? '0'), report);
  if (!values.json) console.log(`${markdownTable(rows)}\n\n${remarksList(rows)}`);
  if (values['write-docs']) writeDocumentation(rows);
  return rows.every((row) => row.isClean);
}

try {
  process.exit((await main()) ? 0 : 1);
} catch (error) {
  console.error(error instanceof OperatorError ? error.message : error);
  process.exit(2);
}
