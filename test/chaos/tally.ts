/** Sentences with how often each was noted. */
export type Tally = {
  note(sentence: string): void;
  sentences(): string[];
};

export function createTally(first: string[] = []): Tally {
  const counts = new Map<string, number>();
  const note = (sentence: string) => void counts.set(sentence, (counts.get(sentence) ?? 0) + 1);
  for (const sentence of first) note(sentence);
  return {
    note,
    sentences: () => [...counts].map(([text, count]) => (count === 1 ? text : `${text} (${count} times)`)),
  };
}
