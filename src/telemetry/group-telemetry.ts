// Telemetry of the supervisor of `serve --workers`: one page with the metrics of all workers, and metrics of its own by
// OTLP. The workers send theirs by OTLP themselves.
import type { Worker } from 'node:cluster';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import type { WorkerObserver } from '../process/workers.ts';
import { combineMetrics } from './combine-metrics.ts';
import { GROUP_INSTRUMENTS } from './group-instruments.ts';
import { type MetricsPage, startMetricsPage } from './metrics-page.ts';
import type { TelemetryOptions } from './options.ts';
import { createOtlpReader } from './otlp-reader.ts';
import { prometheusText } from './prometheus-text.ts';
import { SnapshotReader } from './snapshot-reader.ts';
import { SERVICE_NAME, telemetryResource } from './telemetry-resource.ts';
import { createWorkerSnapshots, type WorkerSnapshots } from './worker-snapshots.ts';

export type GroupTelemetry = WorkerObserver & {
  /** 0 without a page. */
  port: number;
  close(): Promise<void>;
};

/** @throws when the port is in use */
export async function startGroupTelemetry(
  { prometheus, otlpMetrics, commit }: TelemetryOptions,
  instanceId: string,
  onWorkerChange: (worker: Worker, slot: number, isUp: boolean) => void,
): Promise<GroupTelemetry> {
  const workers = createWorkerSnapshots(onWorkerChange);
  const reader = new SnapshotReader();
  const resource = telemetryResource(instanceId, commit);
  const provider = new MeterProvider({
    resource,
    readers: [reader, ...(otlpMetrics ? [createOtlpReader(otlpMetrics)] : [])],
  });
  const countEnd = instrument(provider, workers);
  const read = async () => {
    // This also collects the metrics of the workers.
    const own = await reader.snapshot();
    return prometheusText(resource, combineMetrics([{ worker: '', snapshot: own }, ...workers.sources()]));
  };
  const page: MetricsPage | null = prometheus && (await startMetricsPage(prometheus, read));
  return {
    port: page?.port ?? 0,
    started: workers.started,
    listening: workers.listening,
    ended(worker, isExpected) {
      workers.ended(worker);
      if (!isExpected) countEnd();
    },
    async close() {
      page?.close();
      await provider.shutdown();
    },
  };
}

/** Returns what counts the end of a worker. */
function instrument(provider: MeterProvider, workers: WorkerSnapshots): () => void {
  const { workerUp, workerEnds } = GROUP_INSTRUMENTS;
  const meter = provider.getMeter(SERVICE_NAME);
  const ends = meter.createCounter(workerEnds.name, workerEnds);
  ends.add(0);
  meter.createObservableGauge(workerUp.name, workerUp).addCallback(async (into) => {
    await workers.collect();
    for (const { slot, isUp } of workers.states()) into.observe(Number(isUp), { worker: String(slot) });
  });
  return () => ends.add(1);
}
