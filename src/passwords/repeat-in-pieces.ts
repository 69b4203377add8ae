import { setImmediate } from 'node:timers/promises';

/** A few milliseconds of a core. */
const PIECE = 2_000;

/** Returns to the event loop between pieces, so that other hashes of the process start and end in time. */
export async function repeatInPieces(
  rounds: number,
  first: Buffer,
  step: (value: Buffer, round: number) => Buffer,
): Promise<Buffer> {
  let value = first;
  for (let round = 0; round < rounds; round += 1) {
    if (round % PIECE === PIECE - 1) await setImmediate();
    value = step(value, round);
  }
  return value;
}
