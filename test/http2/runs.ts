import { processEnvironment } from '../../src/config/config.ts';

const { HTTP2_RUNS } = processEnvironment();

/** The number of cases of a property, which the nightly script raises. @param usual in `npm test` */
export function runsOr(usual: number): number {
  return HTTP2_RUNS ? Number(HTTP2_RUNS) : usual;
}
