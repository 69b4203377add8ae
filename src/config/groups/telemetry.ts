import type { OtlpProtocol, TelemetryOptions } from '../../telemetry/options.ts';
import { anyText, port } from '../formats.ts';
import { type Environment, type Keys, SERVICE, type Values } from '../key.ts';

const PROTOCOLS: OtlpProtocol[] = ['grpc', 'http/protobuf', 'http/json'];
const DEFAULT_INTERVAL_MS = 60_000;
const INTERVAL_MS = { least: 100, most: 3_600_000 };
const EXPORTER = anyText('otlp or none');
const ENDPOINT = anyText('a URL');
const EXPORTER_DEFAULT = 'otlp when an endpoint is set, otherwise none';

export const METRICS_KEYS = {
  METRICS_PORT: {
    format: port,
    usedBy: SERVICE,
    help: 'The port where Prometheus reads /metrics; "serve --workers" serves one page with the metrics of all workers.',
  },
  METRICS_HOST: {
    format: anyText('an IP address or a host name'),
    defaultText: 'HOST',
    usedBy: SERVICE,
    help: 'The address of METRICS_PORT.',
  },
} as const satisfies Keys;

export const OTEL_KEYS = {
  OTEL_EXPORTER_OTLP_ENDPOINT: {
    format: ENDPOINT,
    usedBy: SERVICE,
    help: 'The collector that receives metrics and traces by OTLP.',
  },
  OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: { format: ENDPOINT, usedBy: SERVICE, help: 'The collector for metrics only.' },
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: { format: ENDPOINT, usedBy: SERVICE, help: 'The collector for traces only.' },
  OTEL_EXPORTER_OTLP_PROTOCOL: {
    format: anyText(`one of ${PROTOCOLS.join(', ')}`),
    default: 'http/protobuf',
    usedBy: SERVICE,
    help: 'The transport of OTLP.',
  },
  OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: {
    format: anyText(`one of ${PROTOCOLS.join(', ')}`),
    defaultText: 'OTEL_EXPORTER_OTLP_PROTOCOL',
    usedBy: SERVICE,
    help: 'The transport of OTLP for metrics only.',
  },
  OTEL_METRICS_EXPORTER: {
    format: EXPORTER,
    defaultText: EXPORTER_DEFAULT,
    usedBy: SERVICE,
    help: 'Whether metrics are sent.',
  },
  OTEL_TRACES_EXPORTER: {
    format: EXPORTER,
    defaultText: EXPORTER_DEFAULT,
    usedBy: SERVICE,
    help: 'Whether traces are sent.',
  },
  OTEL_METRIC_EXPORT_INTERVAL: {
    format: { ...anyText(`milliseconds from ${INTERVAL_MS.least} to ${INTERVAL_MS.most}`), unit: 'milliseconds' },
    default: String(DEFAULT_INTERVAL_MS),
    usedBy: SERVICE,
    help: 'Interval at which metrics are sent.',
  },
  OTEL_SDK_DISABLED: {
    format: anyText('true or false'),
    default: 'false',
    usedBy: SERVICE,
    help: 'With true, no metrics and traces are sent.',
  },
} as const satisfies Keys;

export function telemetrySettings(
  values: Values<typeof METRICS_KEYS>,
  { otlp, host: defaultHost, environment }: { otlp: OtlpSettings; host: string; environment: Environment },
  problems: string[],
): TelemetryOptions {
  const { METRICS_HOST: host = defaultHost, METRICS_PORT } = values;
  if (METRICS_PORT !== undefined && isDisabled(environment)) {
    problems.push('METRICS_PORT and OTEL_SDK_DISABLED=true contradict each other');
  }
  if (values.METRICS_HOST !== undefined && METRICS_PORT === undefined) {
    problems.push('METRICS_HOST has no effect without METRICS_PORT');
  }
  return {
    ...otlp,
    prometheus: METRICS_PORT === undefined ? null : { host, port: METRICS_PORT },
    commit: environment.LATCHKEY_COMMIT,
  };
}

type OtlpSettings = Omit<TelemetryOptions, 'prometheus' | 'commit'>;

/** A signal is sent only when an endpoint or an exporter is set. */
export function readOtlpSettings(environment: Environment, problems: string[]): OtlpSettings {
  const isSent = (signal: 'METRICS' | 'TRACES') => {
    const exporter = environment[`OTEL_${signal}_EXPORTER`];
    if (exporter !== undefined && exporter !== 'otlp' && exporter !== 'none') {
      problems.push(`OTEL_${signal}_EXPORTER must be otlp or none; for Prometheus set METRICS_PORT`);
    }
    const endpoint = environment[`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`] ?? environment.OTEL_EXPORTER_OTLP_ENDPOINT;
    return !isDisabled(environment) && (exporter ?? (endpoint && 'otlp')) === 'otlp';
  };
  const name =
    environment.OTEL_EXPORTER_OTLP_METRICS_PROTOCOL ?? environment.OTEL_EXPORTER_OTLP_PROTOCOL ?? 'http/protobuf';
  const protocol = PROTOCOLS.find((known) => known === name);
  if (!protocol) problems.push(`OTEL_EXPORTER_OTLP_PROTOCOL must be one of ${PROTOCOLS.join(', ')}`);
  const intervalMs = Number(environment.OTEL_METRIC_EXPORT_INTERVAL ?? DEFAULT_INTERVAL_MS);
  if (!(intervalMs >= INTERVAL_MS.least && intervalMs <= INTERVAL_MS.most)) {
    problems.push(`OTEL_METRIC_EXPORT_INTERVAL must be milliseconds from ${INTERVAL_MS.least} to ${INTERVAL_MS.most}`);
  }
  return { otlpMetrics: isSent('METRICS') && protocol ? { protocol, intervalMs } : null, traces: isSent('TRACES') };
}

function isDisabled(environment: Environment): boolean {
  return environment.OTEL_SDK_DISABLED?.toLowerCase() === 'true';
}
