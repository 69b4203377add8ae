// The result of the matrix as Markdown.
import { paragraphs, table } from '../../src/dev/reference/markdown.ts';
import { SIGNING_ALGORITHMS, type SigningAlgorithm } from '../../src/domain/signing-algorithm.ts';
import type { Judgement } from './contender.ts';

export type Row = { language: string; name: string; version: string; judgements: Map<SigningAlgorithm, Judgement> };

export function reportOf(rows: Row[]): string {
  const judgements = rows.flatMap((row) => [...row.judgements.values()]);
  const tokens = judgements.reduce((sum, { cases }) => sum + cases, 0);
  return paragraphs(
    table(['', 'library', ...SIGNING_ALGORITHMS, 'accepted although invalid'], rows.map(lineOf)),
    `${rows.filter(({ judgements: { size } }) => size > 0).length} programs, ${tokens} tokens. Reasons of each "no":`,
    rows.flatMap(reasonsOf).join('\n'),
  );
}

function lineOf({ language, name, version, judgements }: Row): string[] {
  const answers = SIGNING_ALGORITHMS.map((algorithm) => {
    const judgement = judgements.get(algorithm);
    if (!judgement) return 'not run';
    return judgement.isAccepted ? 'yes' : 'no';
  });
  const wrong = new Set([...judgements.values()].flatMap(({ wronglyAccepted }) => wronglyAccepted));
  return [language, `${name} ${version}`, ...answers, [...wrong].join(', ')];
}

function reasonsOf({ language, name, judgements }: Row): string[] {
  return [...judgements].flatMap(([algorithm, { why }]) =>
    why === null ? [] : [`- ${language}, ${name}, ${algorithm}: \`${why.replace(/^rejected /, '')}\``],
  );
}
