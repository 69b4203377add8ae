// Three sections of the runbook with their incidents. `npm run test:runbook` has all of them, with the alerts.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Incident } from '../runbook/incident.ts';
import { INCIDENTS } from '../runbook/incidents/all.ts';
import { PAGES, sectionsOf } from '../runbook/page.ts';
import { play, typeSetUp } from '../runbook/play.ts';
import { openScene, type Scene } from '../runbook/scene.ts';

const SECTIONS = PAGES.flatMap(sectionsOf);

let scene: Scene;

beforeAll(async () => {
  scene = await openScene();
  await typeSetUp(scene, SECTIONS);
}, 120_000);
afterAll(() => scene?.close());

test.each(['Limits without Redis', 'Dead letters', 'Stolen refresh tokens of one user'])(
  '%s',
  async (heading) => {
    const section = SECTIONS.find((one) => one.heading === heading);
    expect(section).toBeDefined();
    if (section) await play(scene, section, INCIDENTS[heading] as Incident, null);
  },
  120_000,
);
