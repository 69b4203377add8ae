// test/docs/runbook.unit.test.ts checks that the links lead to sections.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';

type Rule = {
  alert: string;
  labels: { severity: string };
  annotations: { summary: string; runbook: string };
};

const TESTS = readFileSync('deploy/prometheus/alerts.test.yml', 'utf8');
const { groups } = parse(readFileSync('deploy/prometheus/alerts.yml', 'utf8')) as { groups: { rules: Rule[] }[] };
const RULES = groups.flatMap(({ rules }) => rules);

test.each(RULES.map((rule) => [rule.alert, rule] as const))(
  '%s has a severity, a summary, a link to the runbook, and a test that fires it',
  (alert, { labels, annotations }) => {
    expect(['critical', 'warning']).toContain(labels.severity);
    expect(annotations.summary).toBeTruthy();
    expect(annotations.runbook).toMatch(/^docs\/guides\/troubleshooting\.md#[a-z-]+$/);
    expect(TESTS).toContain(`alertname="${alert}"`);
  },
);
