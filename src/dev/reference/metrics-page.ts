import type { Instrument } from '../../telemetry/instrument.ts';
import { INSTRUMENTS } from '../../telemetry/instruments.ts';
import { prometheusName } from '../../telemetry/prometheus-name.ts';
import { code, escapeTags, paragraphs, table } from './markdown.ts';
import type { Page } from './page.ts';

const ACROSS = { sum: 'sum', max: 'largest', min: 'smallest', each: 'label `worker`' };

export function metricsPage(): Page {
  const instruments: Instrument[] = Object.values(INSTRUMENTS).toSorted((a, b) => a.name.localeCompare(b.name));
  return {
    path: 'docs/reference/metrics.md',
    text: paragraphs(
      '# Metrics',
      'Latchkey reports these metrics to Prometheus and by OTLP.',
      '`METRICS_PORT` serves `/metrics` for Prometheus, and `OTEL_EXPORTER_OTLP_ENDPOINT` names a collector. Both ways lead to the same names at Prometheus: the page appends the unit and `_total`, as Prometheus 3 and the collector do for OTLP with their default `UnderscoreEscapingWithSuffixes`. A histogram has the suffixes `_bucket`, `_sum` and `_count`. [deploy/prometheus](../../deploy/prometheus) has alerts, and [deploy/grafana](../../deploy/grafana) a dashboard.',
      'The column "Workers" says how the page of `serve --workers` combines its workers. By OTLP each worker reports for itself.',
      table(
        ['Metric', 'At Prometheus', 'Type', 'Unit', 'Workers', 'Meaning'],
        instruments.map((instrument) => [
          code(instrument.name),
          code(prometheusName(instrument)),
          instrument.type,
          code(instrument.unit),
          ACROSS[instrument.across ?? 'sum'],
          escapeTags(instrument.description),
        ]),
      ),
      '## Labels',
      'Each label has a closed set of values. Text of callers, such as a path or a user agent, is never a label. At Prometheus the dots are underscores.',
      table(
        ['Metric', 'Label', 'Values'],
        instruments.flatMap(({ name, attributes }) =>
          Object.entries(attributes).map(([label, values]) => [code(name), code(label), escapeTags(values)]),
        ),
      ),
      '## The process',
      '`target_info` has the label `service_version`, and `vcs_ref_head_revision` with the commit where it is known. `service_name` and `service_instance_id` are labels of `target_info` on the page; by OTLP Prometheus turns them into `job` and `instance`. A process has a new `service.instance.id` at each start unless `OTEL_RESOURCE_ATTRIBUTES` sets one. The workers of `serve --workers` append their number to that one.',
      'Node adds `nodejs_eventloop_...` and `v8js_...` for the event loop, the heap and garbage collection, on the page of `serve --workers` with the label `worker`.',
    ),
  };
}
