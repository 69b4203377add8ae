// The runbook has a section for each alert, and each section with commands has an incident that `npm run test:runbook` makes.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseCommandLine } from '../../src/cli/parse-command-line.ts';
import { INCIDENTS } from '../runbook/incidents/all.ts';
import { anchorOf, PAGES, type Section, sectionsOf } from '../runbook/page.ts';

const SECTIONS = PAGES.flatMap(sectionsOf).filter(({ steps }) => steps.some(({ part }) => part !== 'Set up'));
const ALERTS = readFileSync('deploy/prometheus/alerts.yml', 'utf8');

test('each alert has a section whose heading is its name in words', () => {
  const alerts = [...ALERTS.matchAll(/- alert: (\w+)/g)].map(([, name]) => name as string);
  expect(alerts.length).toBeGreaterThan(10);
  const withSection = SECTIONS.flatMap(({ alert }) => alert ?? []);
  expect(alerts.filter((alert) => !withSection.includes(alert))).toEqual([]);
});

test('each runbook link of an alert leads to a heading', () => {
  const anchors = new Set(SECTIONS.map(({ page, heading }) => `${page}#${anchorOf(heading)}`));
  const links = [...ALERTS.matchAll(/runbook: (\S+)/g)].map(([, link]) => link as string);
  expect(links.filter((link) => !anchors.has(link))).toEqual([]);
});

test('each section has an incident, and each incident a section', () => {
  expect(SECTIONS.map(({ heading }) => heading).toSorted()).toEqual(Object.keys(INCIDENTS).toSorted());
});

describe.each(SECTIONS.map((section) => [section.heading, section] as const))('%s', (_, section) => {
  test('shows how to see the incident and what to do', () => {
    expect(section.text).toMatch(/^\*\*See\b/m);
    expect(section.text).toMatch(/^\*\*Do\b/m);
    expect(section.steps.some(({ part }) => part === 'See')).toBe(true);
    expect(section.steps.some(({ prints }) => prints !== '')).toBe(true);
  });

  test('has commands that the command line accepts', () => {
    for (const words of commandsOf(section)) expect(() => parseCommandLine(words), words.join(' ')).not.toThrow();
  });
});

/** The words of each call of `latchkey`. */
function commandsOf({ steps }: Section): string[][] {
  const lines = steps.flatMap(({ commands }) => commands.split('\n'));
  return lines
    .filter((line) => line.startsWith('latchkey '))
    .map((line) =>
      line
        .replace(/ \|.*$/, '')
        .replaceAll(/"\$\([^)]*\)"/g, '2030-01-01')
        .slice('latchkey '.length),
    )
    .map((line) => [...line.matchAll(/'([^']*)'|(<[^>]+>|\S+)/g)].map(([, quoted, bare]) => quoted ?? bare ?? ''));
}
