// The same sessions sent to node:http2 and to the engine: each stream and each connection has the same class of outcome.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { runsOr } from '../runs.ts';
import { RECORDED } from '../sessions/recorded.ts';
import { ALLOWED_DIFFERENCES } from './allowed-differences.ts';
import { damagedSession } from './damage.ts';
import { judge } from './judge.ts';
import { SAME_MEANING } from './same-meaning.ts';
import { runOurs } from './servers.ts';
import { Session } from './session.ts';

const RUNS = runsOr(500);
/** The time for one session, on a slow machine. */
const MS_PER_SESSION = 20;

describe('sessions of real clients', () => {
  test.each(RECORDED)('$client: $name', async ({ bytes }) => {
    const session = new Session([Buffer.from(bytes, 'base64')]);
    const { streams } = await runOurs(session);
    for (const answer of streams.values()) expect(answer).toMatch(/^answer /);
    expect((await judge(session)).problem).toBeNull();
  });
});

/** Another try would have another seed. */
const OPTIONS = { retry: 0, timeout: Math.max(30_000, MS_PER_SESSION * RUNS) };

test(`${RUNS} damaged sessions`, OPTIONS, async () => {
  const property = fc.asyncProperty(damagedSession, async (session) => {
    const { problem } = await judge(session);
    if (problem !== null) throw new Error(problem);
  });
  await fc.assert(property, { numRuns: RUNS });
});

describe('the allowed differences', () => {
  test.each(ALLOWED_DIFFERENCES)('section $section: $name', async ({ name, example }) => {
    expect(await judge(example)).toEqual({ allowed: [name], problem: null });
  });

  test.each(SAME_MEANING)('section $section: $name', async ({ name, example }) => {
    const { allowed, problem } = await judge(example);
    expect(problem).toBeNull();
    expect(allowed[0]).toBe(name);
  });
});
