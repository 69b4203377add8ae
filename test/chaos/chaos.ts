// `npm run chaos`: breaks a real deployment in many ways under load, and compares what it has with what it has acknowledged.
import { parseArgs } from 'node:util';
import type { Fault } from './fault.ts';
import { FAULTS } from './faults/catalogue.ts';
import { chooseOldRevision } from './releases.ts';
import type { Row } from './row.ts';
import { createFaultRunner } from './run-faults.ts';
import { runSelfTest } from './self-test.ts';
import { cells, markdownTable, remarks, remarksList } from './table.ts';

const USAGE = `usage: npm run chaos -- [options] [fault ...]

  --list          the names of the faults, and what each does
  --seconds <n>   how long each fault lasts at least
  --old <rev>     the revision that rolling-upgrade begins with
  --self-test     plants bugs and checks that each is found
  --json          one JSON object a row
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    list: { type: 'boolean' },
    seconds: { type: 'string' },
    json: { type: 'boolean' },
    old: { type: 'string' },
    'self-test': { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  },
});

function chosenFaults(names: string[]): Fault[] {
  if (names.length === 0) return FAULTS;
  return names.map((name) => {
    const fault = FAULTS.find((one) => one.name === name);
    if (!fault) throw new Error(`there is no fault "${name}"; --list shows those there are`);
    return fault;
  });
}

async function runAll(faults: Fault[]): Promise<Row[]> {
  const runner = createFaultRunner();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => void runner.stop().finally(() => process.exit(130)));
  }
  const rows: Row[] = [];
  try {
    for (const fault of faults) {
      const row = await runner.run(fault, values.seconds === undefined ? undefined : Number(values.seconds));
      rows.push(row);
      if (values.json) console.log(JSON.stringify(row));
      else console.error([cells(row).join('  '), ...remarks(row), ...interruptions(row)].join('\n    '));
    }
    return rows;
  } finally {
    await runner.stop();
  }
}

function interruptions(row: Row): string[] {
  return row.interruptions.length === 0 ? [] : [`repeated after: ${row.interruptions.join('; ')}`];
}

async function main(): Promise<void> {
  if (values.help) return console.log(USAGE);
  if (values.list) return console.log(FAULTS.map(({ name, does }) => `${name.padEnd(28)} ${does}`).join('\n'));
  if (values['self-test']) {
    const unnoticed = await runSelfTest((sentence) => console.error(sentence));
    process.exitCode = unnoticed.length === 0 ? 0 : 1;
    return;
  }
  if (values.old !== undefined) chooseOldRevision(values.old);
  const rows = await runAll(chosenFaults(positionals));
  if (!values.json) console.log(`${markdownTable(rows)}\n\n${remarksList(rows)}`);
  process.exitCode = rows.every((row) => row.isClean) ? 0 : 1;
}

await main();
process.exit();
