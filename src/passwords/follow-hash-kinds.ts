import type { Hasher } from './hasher.ts';

type Options = {
  read: () => Promise<string[]>;
  /** Called once when the kinds change. */
  onTooCostly: (kinds: string[]) => void;
  onError: (error: unknown) => void;
};

/** Imports and other processes add kinds. Until the next read, the first sign-in with a new kind adds it. */
const EVERY_MS = 60_000;

/** Updates the kinds of the hasher now and every minute. Returns a function that stops it. */
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
