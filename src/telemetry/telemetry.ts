// Starts telemetry: metrics as Prometheus text on a port of their own, metrics and traces by OTLP. The standard variables
// (OTEL_...) have their standard meaning.
import { DiagLogLevel, diag, metrics, trace } from '@opentelemetry/api';
import { createMetrics, type Metrics } from './metrics.ts';
import { createTracing, type Tracing } from './tracing.ts';

export type OtlpProtocol = 'grpc' | 'http/protobuf' | 'http/json';

export type TelemetryOptions = {
  /** The page for Prometheus; null for none. Port 0 selects a free port. */
  prometheus: { host: string; port: number } | null;
  /** Null: metrics are not sent. */
  otlpMetrics: { protocol: OtlpProtocol; intervalMs: number } | null;
  traces: boolean;
};

export type Telemetry = {
  metrics: Metrics;
  /** Null when no traces are sent. */
  tracing: Tracing | null;
  /** The port of the metrics page; 0 without it. */
  port: number;
  /** Sends the pending data. */
  close(): Promise<void>;
};

const NAME = 'latchkey';

/**
 * Call it once in a process: the SDK is global.
 * @param onProblem receives errors such as a collector that does not answer
 * @throws when the port is taken
 */
export async function startTelemetry(
  options: TelemetryOptions,
  onProblem: (problem: Error) => void,
): Promise<Telemetry> {
  const isEnabled = options.prometheus || options.otlpMetrics || options.traces;
  const report = (message: string, ...details: unknown[]) => onProblem(new Error([message, ...details].join(' ')));
  const silent = () => {};
  if (isEnabled) {
    const logger = { error: report, warn: report, info: silent, debug: silent, verbose: silent };
    diag.setLogger(logger, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
  }
  const sdk = isEnabled ? await (await import('./sdk.ts')).startSdk(options, NAME) : null;
  return {
    metrics: createMetrics(metrics.getMeter(NAME)),
    tracing: options.traces ? createTracing(trace.getTracer(NAME)) : null,
    port: sdk?.port ?? 0,
    close: async () => sdk?.close().catch(onProblem),
  };
}
