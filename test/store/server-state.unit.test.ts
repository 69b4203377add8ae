import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createDatabaseClock } from '../../src/store/postgres/database-clock.ts';
import { hostUrls } from '../../src/store/postgres/host-urls.ts';
import { judgeServer, type SeenPrimary, type ServerState } from '../../src/store/postgres/server-state.ts';

const primary: ServerState = {
  systemIdentifier: '7',
  position: { timeline: 2, lsn: 1_000n },
  promotedAt: null,
  startedAt: 50,
  isReadOnly: false,
  now: 0,
};
const seen: SeenPrimary = { systemIdentifier: '7', position: { timeline: 2, lsn: 900n }, startedAt: 50 };

describe('judgeServer', () => {
  test.each<[string, Partial<ServerState>]>([
    ['in recovery', { position: null }],
    ['read-only', { isReadOnly: true }],
    ['on an older timeline, however long its log', { position: { timeline: 1, lsn: 5_000n } }],
    ['behind on the same timeline', { position: { timeline: 2, lsn: 899n } }],
  ])('rejects a server that is %s', (_, difference) => {
    expect(judgeServer({ ...primary, ...difference }, seen)).toMatchObject({ isPrimary: false });
  });

  test.each<[string, Partial<ServerState>, object]>([
    ['the same one', {}, { tookOver: false, lostWalBytes: 0 }],
    [
      'one that was promoted with everything',
      { position: { timeline: 3, lsn: 950n }, promotedAt: 900n },
      { tookOver: true, lostWalBytes: 0 },
    ],
    [
      'one that was promoted without the last bytes and has written since',
      { position: { timeline: 3, lsn: 2_000n }, promotedAt: 800n },
      { tookOver: true, lostWalBytes: 100 },
    ],
    [
      'one that was restored to an earlier state and started',
      { position: { timeline: 2, lsn: 300n }, startedAt: 60 },
      { tookOver: true, lostWalBytes: 600 },
    ],
    ['another cluster', { systemIdentifier: '8' }, { tookOver: true }],
  ])('accepts %s', (_, difference, expected) => {
    expect(judgeServer({ ...primary, ...difference }, seen)).toMatchObject({ isPrimary: true, ...expected });
  });
});

describe('the clock', () => {
  test('never differs from the server by more than the last observation proves', () => {
    const delay = fc.nat(500);
    const observation = fc.record({
      pause: fc.nat(10_000),
      there: delay,
      back: delay,
      step: fc.integer({ min: -9e9, max: 9e9 }),
    });
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2e12 }),
        fc.array(observation, { minLength: 1 }),
        (offset, observations) => {
          let [monotonic, machine] = [0, 0];
          const clock = createDatabaseClock(
            () => monotonic,
            () => machine,
          );
          for (const { pause, there, back, step } of observations) {
            monotonic += pause;
            machine += step;
            const before = monotonic;
            const serverNow = offset + before + there;
            monotonic += there + back;
            clock.observe(serverNow, before, monotonic);
            const error = clock.now().getTime() - (offset + monotonic);
            expect(Math.abs(error)).toBeLessThanOrEqual(there + back + 1);
          }
        },
      ),
    );
  });

  test('continues when the clock of the machine jumps', () => {
    let [monotonic, machine] = [0, 1_000_000];
    const clock = createDatabaseClock(
      () => monotonic,
      () => machine,
    );
    clock.observe(1_000_000, 0, 0);
    machine += 300_000;
    monotonic += 1_000;
    expect(clock.now().getTime()).toBe(1_001_000);
    expect(clock.aheadMs()).toBe(299_000);
  });
});

test('a URL with several hosts is one URL for each', () => {
  expect(hostUrls('postgres://me:p%40ss@a:5432,[::1]:5433,c/name?sslmode=require')).toEqual([
    'postgres://me:p%40ss@a:5432/name?sslmode=require',
    'postgres://me:p%40ss@[::1]:5433/name?sslmode=require',
    'postgres://me:p%40ss@c/name?sslmode=require',
  ]);
  expect(hostUrls('postgres:///name?host=/run/postgresql')).toEqual(['postgres:///name?host=/run/postgresql']);
});
