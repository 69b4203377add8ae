import { DiagLogLevel, diag, metrics, trace } from '@opentelemetry/api';
import { createMetrics, type Metrics } from './metrics.ts';
import type { TelemetryOptions } from './options.ts';
import { createTracing, type Tracing } from './tracing.ts';

export type Telemetry = {
  metrics: Metrics;
  tracing: Tracing | null;
  port: number;
  close(): Promise<void>;
};

const NAME = 'latchkey';

/**
 * The SDK is global: close it before another start in the same process.
 * @param instanceId identifies this process
 * @param onProblem receives errors such as a collector that does not answer
 * @throws when the port is in use
 */
export async function startTelemetry(
  options: TelemetryOptions,
  instanceId: string,
  onProblem: (problem: Error) => void,
): Promise<Telemetry> {
  const isEnabled = options.prometheus || options.otlpMetrics || options.traces;
  const report = (message: string, ...details: unknown[]) => onProblem(new Error([message, ...details].join(' ')));
  const silent = () => {};
  if (isEnabled) {
    const logger = { error: report, warn: report, info: silent, debug: silent, verbose: silent };
    diag.setLogger(logger, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
  }
  const sdk = isEnabled ? await (await import('./sdk.ts')).startSdk(options, instanceId) : null;
  return {
    metrics: createMetrics(metrics.getMeter(NAME)),
    tracing: options.traces ? createTracing(trace.getTracer(NAME)) : null,
    port: sdk?.port ?? 0,
    close: async () => sdk?.close().catch(onProblem),
  };
}
