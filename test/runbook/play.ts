// Types the commands of the runbook into a terminal while their incident goes on.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { missingPart } from '../support/doc-blocks.ts';
import type { AlertWatch } from './alert-watch.ts';
import type { Incident, Values } from './incident.ts';
import type { Part, Section } from './page.ts';
import type { Scene } from './scene.ts';

const SEEN_WITHIN_MS = 45_000;

/** Defines the functions that the commands use. */
export async function typeSetUp(scene: Scene, sections: Section[]): Promise<void> {
  const steps = sections.flatMap((section) => section.steps).filter(({ part }) => part === 'Set up');
  for (const { commands } of steps) await scene.shell.type(filledIn(commands, scene, {}));
}

/** @param alerts null without a Prometheus */
export async function play(
  scene: Scene,
  section: Section,
  incident: Incident,
  alerts: AlertWatch | null,
): Promise<void> {
  const { settings, startsWithSettings = true } = incident;
  const changed = typeof settings === 'function' ? await settings(scene) : settings;
  const usual = Object.fromEntries(Object.keys(changed ?? {}).map((key) => [key, scene.environment[key]]));
  try {
    if (changed) await scene.deploy(changed, startsWithSettings);
    const values = await incident.make(scene);
    await typeAll(scene, section, 'See', { values });
    if (section.alert) await alerts?.untilFiring(section.alert);
    await incident.beforeDo?.(scene, values);
    await typeAll(scene, section, 'Do', { values, before: incident.before ?? {} });
    await incident.afterDo?.(scene, values);
    await typeAll(scene, section, 'Over', { values });
    await incident.proof?.(scene, values);
    if (section.alert) await alerts?.untilSilent(section.alert);
  } finally {
    await incident.cleanUp?.(scene);
    if (changed) await scene.deploy(usual);
  }
}

type Typing = { values: Values; before?: NonNullable<Incident['before']> };

async function typeAll(scene: Scene, { steps }: Section, part: Part, { values, before = {} }: Typing): Promise<void> {
  for (const { commands, prints } of steps.filter((step) => step.part === part)) {
    for (const [start, act] of Object.entries(before)) if (commands.startsWith(start)) await act(scene, values);
    const typed = filledIn(commands, scene, values);
    // A look is repeated as an operator repeats it. A change is made once and must succeed.
    const deadline = Date.now() + (part === 'Do' ? 0 : SEEN_WITHIN_MS);
    for (;;) {
      const { output, exits } = await scene.shell.type(typed);
      const missing = missingPart(output, filledIn(prints, scene, values));
      const hasFailed = part === 'Do' && exits.length > 0;
      if (missing === null && !hasFailed) break;
      if (Date.now() < deadline) await sleep(500);
      else expect.fail(`${typed}\nexits: ${exits}\nmissing: ${missing}\nprinted:\n${output}`);
    }
  }
}

function filledIn(text: string, { ports }: Scene, values: Values): string {
  const known = text
    .replaceAll('localhost:8080', `127.0.0.1:${ports.api}`)
    .replaceAll('localhost:8081', `127.0.0.1:${ports.worker}`)
    .replaceAll('localhost:9464', `127.0.0.1:${ports.apiMetrics}`)
    .replaceAll('localhost:9465', `127.0.0.1:${ports.workerMetrics}`);
  return known.replaceAll(/<([a-z][a-z -]*)>/g, (whole, name: string) => values[name] ?? whole);
}
