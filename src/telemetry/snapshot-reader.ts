import { AggregationTemporality, AggregationType, MetricReader } from '@opentelemetry/sdk-metrics';
import type { Snapshot } from './combine-metrics.ts';

/** Reads the present values when Prometheus or the supervisor requests them. */
export class SnapshotReader extends MetricReader {
  constructor() {
    super({
      aggregationSelector: () => ({ type: AggregationType.DEFAULT }),
      aggregationTemporalitySelector: () => AggregationTemporality.CUMULATIVE,
    });
  }

  async snapshot(): Promise<Snapshot> {
    return (await this.collect()).resourceMetrics.scopeMetrics;
  }

  protected async onForceFlush(): Promise<void> {}
  protected async onShutdown(): Promise<void> {}
}
