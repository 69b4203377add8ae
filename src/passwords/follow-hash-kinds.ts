import type { Hasher } from './hasher.ts';

type Options = {
  /** A hash of each kind in use. */
  read: () => Promise<string[]>;
  /** Receives the kinds that are too costly, once when they change. */
  onTooCostly: (kinds: string[]) => void;
  onError: (error: unknown) => void;
};

/** Imports and other processes bring new kinds; a process that has not read them yet takes them up with the first sign-in. */
const EVERY_MS = 60_000;

/** Keeps the hasher's failures as long as the hashes in use demand, from the first call on. Returns how to stop. */
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
