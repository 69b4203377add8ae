import { processEnvironment } from '../../src/config/config.ts';

const { HTTP2_RUNS, HTTP2_FUZZ_SECONDS, HTTP2_FUZZ_SEED } = processEnvironment();

/** The number of cases of a property, which the nightly script raises. @param usual in `npm test` */
export function runsOr(usual: number): number {
  return HTTP2_RUNS ? Number(HTTP2_RUNS) : usual;
}

/** The time for random sessions, which the nightly script raises. */
export const FUZZ_SECONDS = Number(HTTP2_FUZZ_SECONDS ?? 10);

/** The seed of a run that failed, to repeat it. */
export const FUZZ_SEED = HTTP2_FUZZ_SEED ? Number(HTTP2_FUZZ_SEED) : null;
