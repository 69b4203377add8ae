// Starts the OpenTelemetry SDK. Loading it takes a third of a second, so it is loaded only when metrics or traces have
// a receiver.
import cluster from 'node:cluster';
import { context, metrics, propagation, trace } from '@opentelemetry/api';
import { RuntimeNodeInstrumentation } from '@opentelemetry/instrumentation-runtime-node';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { startMetricsPage } from './metrics-page.ts';
import type { TelemetryOptions } from './options.ts';
import { createOtlpReader } from './otlp-reader.ts';
import { prometheusText } from './prometheus-text.ts';
import { SnapshotReader } from './snapshot-reader.ts';
import { telemetryResource } from './telemetry-resource.ts';
import { answerSupervisor } from './worker-channel.ts';

export type Sdk = {
  /** 0 without a page. */
  port: number;
  close(): Promise<void>;
};

export async function startSdk(options: TelemetryOptions, instanceId: string): Promise<Sdk> {
  const { prometheus, otlpMetrics, traces, commit } = options;
  const resource = telemetryResource(instanceId, commit);
  const reader = prometheus || otlpMetrics ? new SnapshotReader() : null;
  if (reader && cluster.isWorker) answerSupervisor(() => reader.snapshot());
  const page =
    reader && prometheus && cluster.isPrimary
      ? await startMetricsPage(prometheus, async () => prometheusText(resource, await reader.snapshot()))
      : null;
  const sdk = new NodeSDK({
    resource,
    autoDetectResources: false,
    metricReaders: [reader, otlpMetrics && createOtlpReader(otlpMetrics)].filter((one) => !!one),
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
      // The next start in this process, such as that of a test, registers its own.
      for (const api of [metrics, trace, propagation, context]) api.disable();
    },
  };
}
