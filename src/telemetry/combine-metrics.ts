// Combines the metrics of several processes: counters and histograms add up, and a level or a gauge follows the rule of
// its instrument.
import { DataPointType, type MetricData, type ScopeMetrics } from '@opentelemetry/sdk-metrics';
import type { Across } from './instrument.ts';
import { INSTRUMENTS } from './instruments.ts';

export type Snapshot = ScopeMetrics[];
/** An empty worker is the supervisor, or a process that has ended. */
export type Source = { worker: string; snapshot: Snapshot };

type Point = MetricData['dataPoints'][number];
type Rule = Across | 'sum';

const RULES = new Map<string, Rule>(Object.values(INSTRUMENTS).map((one) => [one.name, ruleOf(one)]));

function ruleOf({ type, across }: { type: string; across?: Across }): Rule {
  return across ?? (type === 'gauge' ? 'each' : 'sum');
}

/** Node's own metrics that are not counters, such as the delay of the event loop, differ from worker to worker. */
function ruleFor(metric: MetricData): Rule {
  return isCumulative(metric) ? 'sum' : (RULES.get(metric.descriptor.name) ?? 'each');
}

/** A counter or a histogram: the part of a snapshot that outlives its process. */
function isCumulative(metric: MetricData): boolean {
  return metric.dataPointType === DataPointType.SUM ? metric.isMonotonic : metric.dataPointType !== DataPointType.GAUGE;
}

export function onlyCumulative(snapshot: Snapshot): Snapshot {
  return snapshot.map(({ scope, metrics }) => ({ scope, metrics: metrics.filter(isCumulative) }));
}

export function combineMetrics(sources: Source[]): Snapshot {
  const combined = new Map<string, { scope: ScopeMetrics['scope']; metrics: Map<string, MetricData> }>();
  for (const { worker, snapshot } of sources) {
    for (const { scope, metrics } of snapshot) {
      const into = combined.get(scope.name) ?? { scope, metrics: new Map() };
      combined.set(scope.name, into);
      for (const metric of metrics) {
        const { name } = metric.descriptor;
        into.metrics.set(name, combine(into.metrics.get(name), labelled(metric, worker)));
      }
    }
  }
  return [...combined.values()].map(({ scope, metrics }) => ({ scope, metrics: [...metrics.values()] }));
}

function labelled(metric: MetricData, worker: string): MetricData {
  if (worker === '' || ruleFor(metric) !== 'each') return metric;
  const dataPoints = (metric.dataPoints as Point[]).map((point) => ({
    ...point,
    attributes: { ...point.attributes, worker },
  }));
  return { ...metric, dataPoints } as MetricData;
}

function combine(earlier: MetricData | undefined, metric: MetricData): MetricData {
  if (!earlier) return metric;
  const rule = ruleFor(metric);
  const points = new Map<string, Point>((earlier.dataPoints as Point[]).map((point) => [keyOf(point), point]));
  for (const point of metric.dataPoints as Point[]) {
    const key = keyOf(point);
    const other = points.get(key);
    points.set(key, other ? ({ ...point, value: combineValues(rule, other.value, point.value) } as Point) : point);
  }
  return { ...metric, dataPoints: [...points.values()] } as MetricData;
}

function keyOf({ attributes }: Point): string {
  return JSON.stringify(Object.entries(attributes).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function combineValues(rule: Rule, a: Point['value'], b: Point['value']): Point['value'] {
  if (typeof a === 'number' && typeof b === 'number') return combineNumbers(rule, a, b);
  const [one, two] = [a, b] as [HistogramValue, HistogramValue];
  return {
    ...two,
    count: one.count + two.count,
    sum: (one.sum ?? 0) + (two.sum ?? 0),
    buckets: {
      boundaries: two.buckets.boundaries,
      counts: two.buckets.counts.map((count, index) => count + (one.buckets.counts[index] ?? 0)),
    },
  };
}

type HistogramValue = { count: number; sum?: number; buckets: { boundaries: number[]; counts: number[] } };

/** A process that cannot read a value reports NaN, which must not hide the values of the others. */
function combineNumbers(rule: Rule, a: number, b: number): number {
  if (rule === 'sum') return a + b;
  if (Number.isNaN(a)) return b;
  if (Number.isNaN(b)) return a;
  return rule === 'min' ? Math.min(a, b) : Math.max(a, b);
}
