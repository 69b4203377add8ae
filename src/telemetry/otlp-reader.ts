import { OTLPMetricExporter as GrpcExporter } from '@opentelemetry/exporter-metrics-otlp-grpc';
import { OTLPMetricExporter as JsonExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import { OTLPMetricExporter as ProtobufExporter } from '@opentelemetry/exporter-metrics-otlp-proto';
import { PeriodicExportingMetricReader, type PushMetricExporter } from '@opentelemetry/sdk-metrics';
import type { OtlpMetrics, OtlpProtocol } from './options.ts';

const MAX_EXPORT_MS = 30_000;
/** The exporters read their endpoints, headers and compression from the standard variables. */
const EXPORTERS: Record<OtlpProtocol, () => PushMetricExporter> = {
  grpc: () => new GrpcExporter(),
  'http/json': () => new JsonExporter(),
  'http/protobuf': () => new ProtobufExporter(),
};

export function createOtlpReader({ protocol, intervalMs }: OtlpMetrics): PeriodicExportingMetricReader {
  return new PeriodicExportingMetricReader({
    exporter: EXPORTERS[protocol](),
    exportIntervalMillis: intervalMs,
    exportTimeoutMillis: Math.min(MAX_EXPORT_MS, intervalMs),
  });
}
