// Parses a metrics page as Prometheus does.

export type Sample = { name: string; labels: Record<string, string>; value: number };

export async function scrape(port: number): Promise<Sample[]> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`);
  return (await response.text()).split('\n').flatMap((line) => {
    const [, name, labels = '', value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    if (!name) return [];
    const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, text]) => [key, text]);
    return [{ name, labels: Object.fromEntries(pairs), value: Number(value) }];
  });
}

/** The sum over all samples of this name with at least these labels; undefined when there is none. */
export function sumOf(samples: Sample[], name: string, labels: Record<string, string> = {}): number | undefined {
  const isMeant = (one: Sample) =>
    one.name === name && Object.entries(labels).every(([key, value]) => one.labels[key] === value);
  const meant = samples.filter(isMeant);
  return meant.length === 0 ? undefined : meant.reduce((sum, { value }) => sum + value, 0);
}
