/** Names of at least this length may have two errors. */
const LONG_NAME = 12;

/**
 * An error is a missing, superfluous or replaced character, or two exchanged ones. Returns null when no name is
 * similar.
 */
export function closestName(text: string, names: string[]): string | null {
  const errors = names.map((name) => ({ name, count: editDistance(text, name) }));
  const [closest] = errors.toSorted((a, b) => a.count - b.count);
  if (!closest || closest.count === 0) return null;
  // SSL_CERT_FILE of OpenSSL has two errors for TLS_CERT_FILE: a first letter is rarely wrong.
  const mayHaveTwo = closest.name.length >= LONG_NAME && closest.name[0] === text[0];
  return closest.count <= (mayHaveTwo ? 2 : 1) ? closest.name : null;
}

/** The optimal string alignment distance. */
function editDistance(a: string, b: string): number {
  let [beforeLast, last] = [[] as number[], Array.from({ length: b.length + 1 }, (_, n) => n)];
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const isSame = a[i - 1] === b[j - 1];
      const isExchanged = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row.push(
        Math.min(
          (last[j] as number) + 1,
          (row[j - 1] as number) + 1,
          (last[j - 1] as number) + (isSame ? 0 : 1),
          isExchanged ? (beforeLast[j - 2] as number) + 1 : Number.POSITIVE_INFINITY,
        ),
      );
    }
    [beforeLast, last] = [last, row];
  }
  return last[b.length] as number;
}
