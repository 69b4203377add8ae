// Starts the OpenTelemetry SDK. Loading it takes a third of a second, so it is loaded only when metrics or traces have
// a receiver.
import { OTLPMetricExporter as GrpcExporter } from '@opentelemetry/exporter-metrics-otlp-grpc';
import { OTLPMetricExporter as JsonExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import { OTLPMetricExporter as ProtobufExporter } from '@opentelemetry/exporter-metrics-otlp-proto';
import { RuntimeNodeInstrumentation } from '@opentelemetry/instrumentation-runtime-node';
import { defaultResource, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { PeriodicExportingMetricReader, type PushMetricExporter } from '@opentelemetry/sdk-metrics';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { ATTR_SERVICE_NAME } from '@opentelemetry/semantic-conventions';
import { startMetricsPage } from './metrics-page.ts';
import type { OtlpProtocol, TelemetryOptions } from './options.ts';

export type Sdk = {
  port: number;
  close(): Promise<void>;
};

const MAX_EXPORT_MS = 30_000;
/** The exporters read their endpoints, headers and compression from the standard variables. */
const EXPORTERS: Record<OtlpProtocol, () => PushMetricExporter> = {
  grpc: () => new GrpcExporter(),
  'http/json': () => new JsonExporter(),
  'http/protobuf': () => new ProtobufExporter(),
};

export async function startSdk({ prometheus, otlpMetrics, traces }: TelemetryOptions, name: string): Promise<Sdk> {
  const page = prometheus && (await startMetricsPage(prometheus));
  const otlpReader =
    otlpMetrics &&
    new PeriodicExportingMetricReader({
      exporter: EXPORTERS[otlpMetrics.protocol](),
      exportIntervalMillis: otlpMetrics.intervalMs,
      exportTimeoutMillis: Math.min(MAX_EXPORT_MS, otlpMetrics.intervalMs),
    });
  const sdk = new NodeSDK({
    resource: defaultResource().merge(resourceFromAttributes({ [ATTR_SERVICE_NAME]: name })),
    // Other detectors than this one, for OTEL_RESOURCE_ATTRIBUTES, would report the user and the command line.
    resourceDetectors: [envDetector],
    metricReaders: [page?.reader, otlpReader].filter((reader) => !!reader),
    // With traces, the standard variables select the span processors.
    ...(!traces && { spanProcessors: [] }),
    logRecordProcessors: [],
    instrumentations: [new RuntimeNodeInstrumentation()],
  });
  sdk.start();
  return {
    port: page?.port ?? 0,
    async close() {
      page?.close();
      await sdk.shutdown();
    },
  };
}
