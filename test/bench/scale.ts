// `npm run bench:scale [-- [--folder folder] users users]` fills two databases (1,000,000 and 10,000,000 users by default, 3 sessions each)
// and measures every list, search and periodic query, Login, Refresh and a Watch snapshot on both, taking turns. Exits with 1 when the
// time of one grows more than twofold. A given folder is kept, and its databases are used again.
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { processEnvironment } from '../../src/config/config.ts';
import { startEmbeddedPostgres } from '../../src/dev/embedded-postgres.ts';
import { findRedis, startEmbeddedRedis } from '../../src/dev/embedded-redis.ts';
import { PROGRAM_CACHE } from '../../src/dev/settings.ts';
import { median } from './harness.ts';
import { MEASURES, type Measure } from './scale-measures.ts';
import { openSide, type Person, type Side } from './scale-side.ts';

const { values, positionals } = parseArgs({ options: { folder: { type: 'string' } }, allowPositionals: true });
const [SMALL = 1_000_000, LARGE = 10_000_000] = positionals.map(Number);
/** Fewer have not enough sessions to end. */
const FEWEST = 100_000;
/** Tables, indexes and the log of Postgres. */
const BYTES_PER_USER = 2_000;
const BYTES_BESIDES = 3e9;
const MAX_FACTOR = 2;
/** Smaller differences are noise of the machine. */
const NOISE_MS = 2;
const LEAST_ROUNDS = 15;
const MOST_ROUNDS = 100;
const ENOUGH_MS = 1_500;
const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;

if (!(SMALL >= FEWEST && LARGE > SMALL)) {
  console.error(`give two numbers of users, the smaller one first and at least ${FEWEST}`);
  process.exit(2);
}
const folder = values.folder ?? mkdtempSync(join(tmpdir(), 'latchkey-scale-'));
mkdirSync(folder, { recursive: true });
const needed = (SMALL + LARGE) * BYTES_PER_USER + BYTES_BESIDES;
const { bavail, bsize } = statfsSync(folder);
const isFilled = existsSync(join(folder, 'data'));
if (!isFilled) console.log(`needs ${gigabytes(needed)} in ${folder}, where ${gigabytes(bavail * bsize)} are free`);
if (!isFilled && bavail * bsize < needed) {
  console.error('too little space: free some, give another --folder, or give smaller numbers of users');
  if (values.folder === undefined) rmSync(folder, { recursive: true });
  process.exit(2);
}

/** A loss of power may lose the databases. */
const POSTGRES = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
  max_wal_size: '2GB',
  shared_buffers: '1GB',
};

const postgres = await startEmbeddedPostgres(folder, POSTGRES);
const redis = await startEmbeddedRedis(await findRedis(processEnvironment().PATH ?? '', PROGRAM_CACHE));
const keyFile = join(folder, 'master-key');
if (!existsSync(keyFile)) writeFileSync(keyFile, randomBytes(32).toString('base64'), { mode: 0o600 });
const masterKey = readFileSync(keyFile, 'utf8');
const sides: Side[] = [];
let isInterrupted = false;
process.once('SIGINT', () => {
  isInterrupted = true;
});
try {
  for (const [n, users] of [SMALL, LARGE].entries()) {
    if (isInterrupted) break;
    sides.push(await openSide({ users, masterKey, postgresUrl: postgres.url, redisUrl: `${redis.url}/${n}` }));
  }
  if (!isInterrupted) await measureAll();
} finally {
  for (const side of sides) await side.close();
  await Promise.all([postgres.stop(), redis.stop()]);
  if (values.folder === undefined) rmSync(folder, { recursive: true, force: true });
}

async function measureAll(): Promise<void> {
  const [small, large] = sides as [Side, Side];
  const count = (users: number) => users.toLocaleString('en');
  console.log(`\n${''.padEnd(62)}${count(SMALL).padStart(12)}${count(LARGE).padStart(12)}  factor`);
  for (const measure of MEASURES) {
    if (isInterrupted) return;
    const [before, after] = await mediansOf(measure, [small, large]);
    const factor = after / before;
    const isTooMuch = factor > MAX_FACTOR && after - before > NOISE_MS;
    if (isTooMuch) process.exitCode = 1;
    const ms = (time: number) => `${time.toFixed(2)} ms`.padStart(12);
    console.log(
      `${measure.name.padEnd(62)}${ms(before)}${ms(after)}  ${factor.toFixed(2)}${isTooMuch ? '  TOO MUCH' : ''}`,
    );
  }
}

/** The sides take turns. The first round fills caches, and does not count. */
async function mediansOf({ run, rounds, prepare }: Measure, both: [Side, Side]): Promise<[number, number]> {
  const [least, most] = [rounds ?? LEAST_ROUNDS, rounds ?? MOST_ROUNDS];
  const times: [number[], number[]] = [[], []];
  const people = [await both[0].people(most + 1), await both[1].people(most + 1)];
  if (prepare) for (const side of both) await prepare(side);
  const start = performance.now();
  for (let round = 0; round <= most && (round <= least || performance.now() - start < 2 * ENOUGH_MS); round += 1) {
    for (const [n, side] of both.entries()) {
      const ofSide = people[n] ?? [];
      const began = performance.now();
      await run(side, ofSide[round % ofSide.length] as Person);
      if (round > 0) times[n]?.push(performance.now() - began);
    }
  }
  return [median(times[0]), median(times[1])];
}
