// `npm run matrix`: builds the programs of examples/verify, runs each against a Latchkey of each algorithm, and writes
// the table of docs/guides/verify-elsewhere.md.
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { replaceSection } from '../../src/dev/reference/markdown.ts';
import { SIGNING_ALGORITHMS } from '../../src/domain/signing-algorithm.ts';
import { build, isAtHand } from '../support/toolchain.ts';
import { ENVOY } from '../support/wheel.ts';
import { judge, startProgram } from './contender.ts';
import { startEnvoyVerifier } from './envoy.ts';
import { LANGUAGES, type Language, LIBRARIES, type Library, versionOf } from './libraries.ts';
import { type Row, reportOf } from './report.ts';
import { deploy, UNCHECKED } from './tokens.ts';

const PAGE = 'docs/guides/verify-elsewhere.md';
const HALF_AN_HOUR_MS = 1_800_000;

test('the libraries reject every invalid token', { timeout: HALF_AN_HOUR_MS }, async () => {
  const built: Language[] = [];
  for (const language of LANGUAGES) if (await isAtHand(language)) built.push(language);
  for (const language of built) await build(language);

  const programs = LIBRARIES.map((library) => ({ library, row: rowOf(library) }));
  const envoy: Row = { language: 'Envoy', name: 'jwt_authn', version: ENVOY.version, judgements: new Map() };
  for (const algorithm of SIGNING_ALGORITHMS) {
    const deployment = await deploy(algorithm);
    for (const { library, row } of programs.filter((one) => built.includes(one.library.language))) {
      row.judgements.set(algorithm, await judge(startProgram(library, deployment), deployment.cases));
    }
    envoy.judgements.set(algorithm, await judge(await startEnvoyVerifier(deployment), deployment.cases));
    await deployment.close();
  }

  const rows = [...programs.map(({ row }) => row), envoy];
  const report = reportOf(rows);
  console.log(report);
  const missing = LANGUAGES.filter((language) => !built.includes(language)).map(({ name }) => name);
  if (missing.length > 0) console.log(`${PAGE} is unchanged: this machine has no toolchain of ${missing.join(', ')}`);
  else writeFileSync(PAGE, replaceSection(readFileSync(PAGE, 'utf8'), 'matrix', report));
  for (const row of rows) {
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
