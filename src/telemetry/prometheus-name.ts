// The names that Prometheus gives to metrics that arrive by OTLP, so that the page for scraping has the same names:
// dots become underscores, the unit and `_total` are appended ("Prometheus and OpenMetrics Compatibility" of
// OpenTelemetry's specification).

export type Named = { name: string; unit: string; type: 'counter' | 'histogram' | 'level' | 'gauge' };

/** A unit in braces, such as `{call}`, is an annotation and adds nothing. */
const WORDS = new Map([
  ['s', 'seconds'],
  ['By', 'bytes'],
]);

export function prometheusName({ name, unit, type }: Named): string {
  const word = unitWord({ unit, type });
  const base = name.replace(/[^a-zA-Z0-9]+/g, '_');
  const withUnit = word === '' || base.split('_').includes(word) ? base : `${base}_${word}`;
  return type === 'counter' ? `${withUnit}_total` : withUnit;
}

/** Empty for a metric without a unit. */
export function unitWord({ unit, type }: Pick<Named, 'unit' | 'type'>): string {
  if (unit === '' || /^\{.*\}$/.test(unit)) return '';
  if (unit === '1') return type === 'gauge' ? 'ratio' : '';
  return WORDS.get(unit) ?? unit;
}
