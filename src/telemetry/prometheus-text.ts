import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import type { Resource } from '@opentelemetry/resources';
import { DataPointType, type MetricData } from '@opentelemetry/sdk-metrics';
import type { Snapshot } from './combine-metrics.ts';
import { type Named, prometheusName, unitWord } from './prometheus-name.ts';

const serializer = new PrometheusSerializer();

export function prometheusText(resource: Resource, snapshot: Snapshot): string {
  const scopeMetrics = snapshot.map(({ scope, metrics }) => ({ scope, metrics: metrics.map(renamed) }));
  return serializer.serialize({ resource, scopeMetrics });
}

function renamed(metric: MetricData): MetricData {
  const { name, unit } = metric.descriptor;
  const named: Named = { name, unit, type: typeOf(metric) };
  return { ...metric, descriptor: { ...metric.descriptor, name: prometheusName(named), unit: unitWord(named) } };
}

function typeOf(metric: MetricData): Named['type'] {
  if (metric.dataPointType === DataPointType.SUM) return metric.isMonotonic ? 'counter' : 'level';
  return metric.dataPointType === DataPointType.GAUGE ? 'gauge' : 'histogram';
}
