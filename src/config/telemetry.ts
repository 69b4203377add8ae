// What OpenTelemetry's own variables say of whether anything is sent, and how. The rest of them its SDK reads by itself.
import type { OtlpProtocol, TelemetryOptions } from '../telemetry/telemetry.ts';

const PROTOCOLS: OtlpProtocol[] = ['grpc', 'http/protobuf', 'http/json'];
const DEFAULT_INTERVAL_MS = 60_000;
const INTERVAL_MS = { least: 100, most: 3_600_000 };

/**
 * Nothing is sent unless there is somewhere to send it to.
 * @param problems hears, in a sentence each, of values that mean nothing here
 */
export function readOtlpSettings(
  values: Record<string, string | undefined>,
  problems: string[],
): Omit<TelemetryOptions, 'prometheus'> {
  const isOff = values.OTEL_SDK_DISABLED?.toLowerCase() === 'true';
  const isSent = (signal: 'METRICS' | 'TRACES') => {
    const exporter = values[`OTEL_${signal}_EXPORTER`];
    if (exporter !== undefined && exporter !== 'otlp' && exporter !== 'none') {
      problems.push(`OTEL_${signal}_EXPORTER must be otlp or none; for Prometheus set METRICS_PORT`);
    }
    const endpoint = values[`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`] ?? values.OTEL_EXPORTER_OTLP_ENDPOINT;
    return !isOff && (exporter ?? (endpoint && 'otlp')) === 'otlp';
  };
  const given = values.OTEL_EXPORTER_OTLP_METRICS_PROTOCOL ?? values.OTEL_EXPORTER_OTLP_PROTOCOL ?? 'http/protobuf';
  const protocol = PROTOCOLS.find((known) => known === given);
  if (!protocol) problems.push(`OTEL_EXPORTER_OTLP_PROTOCOL must be one of ${PROTOCOLS.join(', ')}`);
  const intervalMs = Number(values.OTEL_METRIC_EXPORT_INTERVAL ?? DEFAULT_INTERVAL_MS);
  if (!(intervalMs >= INTERVAL_MS.least && intervalMs <= INTERVAL_MS.most)) {
    problems.push(`OTEL_METRIC_EXPORT_INTERVAL must be milliseconds from ${INTERVAL_MS.least} to ${INTERVAL_MS.most}`);
  }
  return { otlpMetrics: isSent('METRICS') && protocol ? { protocol, intervalMs } : null, traces: isSent('TRACES') };
}
