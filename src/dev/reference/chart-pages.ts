// The generated files of the Helm chart: the schema of its values, their table, and the alerts.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { chartSchema } from './chart-schema.ts';
import { CHART, type ChartValue, chartValues } from './chart-values.ts';
import { code, replaceSection } from './markdown.ts';
import type { Page } from './page.ts';

const ALERTS = 'deploy/prometheus/alerts.yml';

export function chartPages(root: string): Page[] {
  const values = chartValues(root);
  const readme = `${CHART}/README.md`;
  return [
    { path: `${CHART}/values.schema.json`, text: `${JSON.stringify(chartSchema(values), null, 2)}\n` },
    // A chart can only read files of its own folder.
    { path: `${CHART}/files/alerts.yml`, text: readFileSync(join(root, ALERTS), 'utf8') },
    { path: readme, text: replaceSection(readFileSync(join(root, readme), 'utf8'), 'values', table(values)) },
  ];
}

function table(values: ChartValue[]): string {
  const rows = values.flatMap(leaves).map(({ path, default: standard, comment }) => {
    return `| ${code(path)} | ${code(JSON.stringify(standard))} | ${comment.replaceAll('|', '\\|')} |`;
  });
  return ['| value | default | meaning |', '| --- | --- | --- |', ...rows].join('\n');
}

function leaves(value: ChartValue): ChartValue[] {
  return value.children.length > 0 ? value.children.flatMap(leaves) : [value];
}
