// The runbook's pages as sections: each has commands to see an incident, to end it, and to see that it is over.
import { readFileSync } from 'node:fs';

export const PAGES = ['docs/guides/troubleshooting.md', 'docs/guides/stolen-secrets.md'];

/** The bold label that precedes a block. `Set up` is for the first block of a page. */
export type Part = 'Set up' | 'See' | 'Do' | 'Over';

/** Commands, with the lines that the page shows below them. */
type Step = { part: Part; commands: string; prints: string };

export type Section = {
  page: string;
  heading: string;
  /** The alert of deploy/prometheus/alerts.yml that the section is for, or null. */
  alert: string | null;
  text: string;
  steps: Step[];
};

/** The sections of a page that have commands. */
export function sectionsOf(page: string): Section[] {
  const parts = readFileSync(page, 'utf8').split(/^(?=#{1,4} )/m);
  return parts.map((text) => sectionOf(page, text)).filter(({ steps }) => steps.length > 0);
}

function sectionOf(page: string, text: string): Section {
  const heading = /^#+ (.*)$/m.exec(text)?.[1] ?? '';
  const alert = /^Alert `(\w+)`/m.exec(text)?.[1] ?? null;
  let part: Part = 'Set up';
  const steps: Step[] = [];
  for (const [, label, block = ''] of text.matchAll(/^\*\*(See|Do|Over)\b|^```sh\n([\s\S]*?)^```$/gm)) {
    if (label) part = label as Part;
    else steps.push(...stepsOf(part, block));
  }
  return { page, heading, alert, text, steps };
}

/** A step ends with its `#>` lines, or with the block. */
function stepsOf(part: Part, block: string): Step[] {
  return [...block.matchAll(/((?:(?!#>).*\n)+)((?:#>.*\n)*)/g)].map(([, commands = '', shown = '']) => ({
    part,
    commands,
    prints: shown
      .split('\n')
      .map((line) => line.slice('#> '.length))
      .join('\n')
      .trim(),
  }));
}

/** As GitHub and the link test make it. */
export function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
}
