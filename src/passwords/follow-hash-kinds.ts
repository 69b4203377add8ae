import type { Hasher } from './hasher.ts';

type Options = {
  /** Reads one hash of each kind in use. */
  read: () => Promise<string[]>;
  /** Receives the kinds that are too costly, once when they change. */
  onTooCostly: (kinds: string[]) => void;
  onError: (error: unknown) => void;
};

/** Imports and other processes add kinds. Between two reads, the first sign-in with a new kind adds it. */
const EVERY_MS = 60_000;

/** Keeps the hasher's kinds in step with the hashes in use, from the first call on. Returns a function that stops it. */
export async function followHashKinds(
  hasher: Pick<Hasher, 'useKinds'>,
  { read, onTooCostly, onError }: Options,
): Promise<() => void> {
  let reported = '';
  const refresh = async () => {
    try {
      const tooCostly = hasher.useKinds(await read()).toSorted();
      const report = tooCostly.join(' ');
      if (report !== '' && report !== reported) onTooCostly(tooCostly);
      reported = report;
    } catch (error) {
      onError(error);
    }
  };
  await refresh();
  const timer = setInterval(refresh, EVERY_MS);
  return () => clearInterval(timer);
}
