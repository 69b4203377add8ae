import { ValueType } from '@opentelemetry/api';
import { AggregationTemporality, DataPointType, type MetricData } from '@opentelemetry/sdk-metrics';
import { expect, test } from 'vitest';
import { combineMetrics, onlyCumulative, type Snapshot } from '../../src/telemetry/combine-metrics.ts';

type Values = [labels: Record<string, string>, value: number][];

const base = (name: string) => ({
  descriptor: { name, description: '', unit: '', valueType: ValueType.DOUBLE },
  aggregationTemporality: AggregationTemporality.CUMULATIVE,
});
const pointsOf = (values: Values) =>
  values.map(([attributes, value]) => ({ attributes, value, startTime: [0, 0], endTime: [1, 0] }));
const counter = (name: string, values: Values) =>
  ({ ...base(name), dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints: pointsOf(values) }) as MetricData;
const level = (name: string, values: Values) => ({ ...counter(name, values), isMonotonic: false }) as MetricData;
const gauge = (name: string, values: Values) =>
  ({ ...base(name), dataPointType: DataPointType.GAUGE, dataPoints: pointsOf(values) }) as MetricData;
const histogram = (name: string, counts: number[], sum: number) =>
  ({
    ...base(name),
    dataPointType: DataPointType.HISTOGRAM,
    dataPoints: [
      {
        attributes: {},
        startTime: [0, 0],
        endTime: [1, 0],
        value: { count: counts.reduce((a, b) => a + b, 0), sum, buckets: { boundaries: [1, 2], counts } },
      },
    ],
  }) as MetricData;

const snapshot = (...metrics: MetricData[]): Snapshot => [{ scope: { name: 'latchkey' }, metrics }];
const combined = (...metrics: MetricData[]) =>
  combineMetrics(metrics.map((metric, n) => ({ worker: String(n), snapshot: snapshot(metric) })))[0]?.metrics ?? [];
const valuesOf = (metric: MetricData | undefined) =>
  metric?.dataPoints.map(({ attributes, value }) => [attributes, value]);

test('counters of the same labels add up, in any order of the labels', () => {
  const [found] = combined(
    counter('c', [[{ a: '1', b: '2' }, 3]]),
    counter('c', [
      [{ b: '2', a: '1' }, 4],
      [{ a: '9' }, 1],
    ]),
  );
  expect(valuesOf(found)).toEqual([
    [{ b: '2', a: '1' }, 7],
    [{ a: '9' }, 1],
  ]);
});

test('histograms add up by bucket', () => {
  const [found] = combined(histogram('h', [1, 2, 3], 10), histogram('h', [0, 1, 0], 2));
  expect(found?.dataPoints[0]?.value).toMatchObject({ count: 7, sum: 12, buckets: { counts: [1, 3, 3] } });
});

test.each([
  ['latchkey.revocation_view.age', gauge, [0.2, Number.POSITIVE_INFINITY], Number.POSITIVE_INFINITY],
  ['latchkey.dependency.up', gauge, [1, 0], 0],
  ['latchkey.connections', level, [3, 4], 7],
  ['latchkey.outbox.entries', gauge, [Number.NaN, 5], 5],
  ['latchkey.outbox.entries', gauge, [5, Number.NaN], 5],
] as const)('%s follows the rule of its instrument', (name, kind, [a, b], expected) => {
  expect(valuesOf(combined(kind(name, [[{}, a]]), kind(name, [[{}, b]]))[0])).toEqual([[{}, expected]]);
});

test.each(['process.memory.usage', 'latchkey.clock.difference', 'nodejs.eventloop.delay.p99'])(
  '%s keeps the value of each worker',
  (name) => {
    expect(valuesOf(combined(gauge(name, [[{}, 1]]), gauge(name, [[{}, 2]]))[0])).toEqual([
      [{ worker: '0' }, 1],
      [{ worker: '1' }, 2],
    ]);
  },
);

test('counters and histograms outlive a process, levels and gauges do not', () => {
  const kept = onlyCumulative(snapshot(counter('c', []), level('l', []), gauge('g', []), histogram('h', [], 0)));
  expect(kept[0]?.metrics.map(({ descriptor }) => descriptor.name)).toEqual(['c', 'h']);
});
