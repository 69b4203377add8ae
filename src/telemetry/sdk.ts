// The OpenTelemetry SDK as this service uses it. Loading takes a third of a second, so it is loaded only when it has a receiver.
import { OTLPMetricExporter as GrpcExporter } from '@opentelemetry/exporter-metrics-otlp-grpc';
import { OTLPMetricExporter as JsonExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import { OTLPMetricExporter as ProtobufExporter } from '@opentelemetry/exporter-metrics-otlp-proto';
import { RuntimeNodeInstrumentation } from '@opentelemetry/instrumentation-runtime-node';
import { defaultResource, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { PeriodicExportingMetricReader, type PushMetricExporter } from '@opentelemetry/sdk-metrics';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { ATTR_SERVICE_NAME } from '@opentelemetry/semantic-conventions';
import { openMetricsPage } from './metrics-page.ts';
import type { OtlpProtocol, TelemetryOptions } from './telemetry.ts';

export type Sdk = {
  /** The port of the metrics page; 0 without it. */
  port: number;
  /** Sends the pending data. */
  close(): Promise<void>;
};

const MAX_EXPORT_MS = 30_000;
/** Each reads its endpoint, headers and compression from the standard variables. */
const EXPORTERS: Record<OtlpProtocol, () => PushMetricExporter> = {
  grpc: () => new GrpcExporter(),
  'http/json': () => new JsonExporter(),
  'http/protobuf': () => new ProtobufExporter(),
};

/** @param name of the service, unless the standard variables set another */
export async function startSdk({ prometheus, otlpMetrics, traces }: TelemetryOptions, name: string): Promise<Sdk> {
  const page = prometheus && (await openMetricsPage(prometheus));
  const otlpReader =
    otlpMetrics &&
    new PeriodicExportingMetricReader({
      exporter: EXPORTERS[otlpMetrics.protocol](),
      exportIntervalMillis: otlpMetrics.intervalMs,
      exportTimeoutMillis: Math.min(MAX_EXPORT_MS, otlpMetrics.intervalMs),
    });
  const sdk = new NodeSDK({
    resource: defaultResource().merge(resourceFromAttributes({ [ATTR_SERVICE_NAME]: name })),
    // Only OTEL_RESOURCE_ATTRIBUTES: other detectors report the user and the command line.
    resourceDetectors: [envDetector],
    metricReaders: [page?.reader, otlpReader].filter((reader) => !!reader),
    // Otherwise from the standard variables.
    ...(!traces && { spanProcessors: [] }),
    // The log goes its own way.
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
