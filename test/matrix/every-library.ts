// `npm run matrix`: builds the programs of examples/verify, runs each against a Latchkey of each algorithm, and writes
// the table of docs/guides/verify-elsewhere.md.
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { replaceSection } from '../../src/dev/reference/markdown.ts';
import { SIGNING_ALGORITHMS } from '../../src/domain/signing-algorithm.ts';
import { build, isAtHand } from '../support/toolchain.ts';
import { judge, UNCHECKED } from './judge.ts';
import { LANGUAGES, type Language, LIBRARIES, type Library, versionOf } from './libraries.ts';
import { type Row, reportOf } from './report.ts';
import { deploy } from './tokens.ts';

const PAGE = 'docs/guides/verify-elsewhere.md';
const HALF_AN_HOUR_MS = 1_800_000;

test('the libraries reject every invalid token', { timeout: HALF_AN_HOUR_MS }, async () => {
  const built: Language[] = [];
  for (const language of LANGUAGES) if (await isAtHand(language)) built.push(language);
  for (const language of built) await build(language);

  const rows = LIBRARIES.map((library) => ({ library, row: rowOf(library) }));
  for (const algorithm of SIGNING_ALGORITHMS) {
    const deployment = await deploy(algorithm);
    for (const { library, row } of rows.filter((one) => built.includes(one.library.language))) {
      row.judgements.set(algorithm, await judge(library, deployment));
    }
    await deployment.close();
  }

  const report = reportOf(rows.map(({ row }) => row));
  console.log(report);
  const missing = LANGUAGES.filter((language) => !built.includes(language)).map(({ name }) => name);
  if (missing.length > 0) console.log(`${PAGE} is unchanged: this machine has no toolchain of ${missing.join(', ')}`);
  else writeFileSync(PAGE, replaceSection(readFileSync(PAGE, 'utf8'), 'matrix', report));
  for (const { row } of rows) {
    const wrong = [...row.judgements.values()].flatMap(({ wronglyAccepted }) => wronglyAccepted);
    expect
      .soft(
        wrong.filter((name) => !UNCHECKED.includes(name)),
        `${row.language}, ${row.name}`,
      )
      .toEqual([]);
  }
});

function rowOf(library: Library): Row {
  const { language, name } = library;
  return { language: language.name, name, version: versionOf(library), judgements: new Map() };
}
