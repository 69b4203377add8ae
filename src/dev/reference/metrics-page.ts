import { createMetrics } from '../../telemetry/metrics.ts';
import { code, escapeTags, paragraphs, table } from './markdown.ts';
import type { Page } from './page.ts';

type Instrument = { name: string; kind: string; unit: string; description: string };
type Meter = Parameters<typeof createMetrics>[0];

const KINDS: Record<string, string> = {
  createHistogram: 'histogram',
  createCounter: 'counter',
  createObservableUpDownCounter: 'level',
  createObservableGauge: 'gauge',
};

export function metricsPage(): Page {
  return {
    path: 'docs/reference/metrics.md',
    text: paragraphs(
      '# Metrics',
      'Latchkey reports these metrics to Prometheus and by OTLP.',
      '`METRICS_PORT` serves `/metrics` for Prometheus, and `OTEL_EXPORTER_OTLP_ENDPOINT` names a collector. A histogram has the suffixes `_bucket`, `_sum` and `_count` at Prometheus. [deploy/prometheus](../../deploy/prometheus) has alerts, and [deploy/grafana](../../deploy/grafana) a dashboard.',
      table(
        ['Metric', 'At Prometheus', 'Type', 'Unit', 'Meaning'],
        instruments()
          .toSorted((a, b) => a.name.localeCompare(b.name))
          .map(({ name, kind, unit, description }) => [
            code(name),
            code(prometheusName(name, kind)),
            kind,
            code(unit),
            escapeTags(description),
          ]),
      ),
    ),
  };
}

function instruments(): Instrument[] {
  const found: Instrument[] = [];
  const instrument = { add() {}, record() {}, addCallback() {} };
  const methodOf = (method: string) => (name: string, options: { unit: string; description: string }) => {
    found.push({ name, kind: KINDS[method] ?? method, unit: options.unit, description: options.description });
    return instrument;
  };
  createMetrics(new Proxy({}, { get: (_, method) => methodOf(String(method)) }) as Meter);
  return found;
}

function prometheusName(name: string, kind: string): string {
  return `${name.replaceAll('.', '_')}${kind === 'counter' ? '_total' : ''}`;
}
