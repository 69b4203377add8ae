// What others may watch of this service: metrics as Prometheus text on a port of their own, metrics and traces by OTLP. The
// standard variables (OTEL_...) mean what they mean everywhere.
import { DiagLogLevel, diag, metrics, trace } from '@opentelemetry/api';
import { createMetrics, type Metrics } from './metrics.ts';
import { createTracing, type Tracing } from './tracing.ts';

export type OtlpProtocol = 'grpc' | 'http/protobuf' | 'http/json';

export type TelemetryOptions = {
  /** Where Prometheus asks; null for nowhere, port 0 for any free one. */
  prometheus: { host: string; port: number } | null;
  /** Null: metrics are not sent. */
  otlpMetrics: { protocol: OtlpProtocol; intervalMs: number } | null;
  traces: boolean;
};

export type Telemetry = {
  metrics: Metrics;
  /** Null when nobody wants traces. */
  tracing: Tracing | null;
  /** Of the metrics' page; 0 without. */
  port: number;
  /** Sends what has not been sent yet. */
  close(): Promise<void>;
};

const NAME = 'latchkey';

/**
 * One for a process: the SDK keeps what it made for all of it.
 * @param onProblem hears of collectors that do not answer and the like
 * @throws when the port is taken
 */
export async function startTelemetry(
  options: TelemetryOptions,
  onProblem: (problem: Error) => void,
): Promise<Telemetry> {
  const isWanted = options.prometheus || options.otlpMetrics || options.traces;
  const say = (message: string, ...details: unknown[]) => onProblem(new Error([message, ...details].join(' ')));
  const silent = () => {};
  if (isWanted) {
    const hear = { error: say, warn: say, info: silent, debug: silent, verbose: silent };
    diag.setLogger(hear, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
  }
  const sdk = isWanted ? await (await import('./sdk.ts')).startSdk(options, NAME) : null;
  return {
    metrics: createMetrics(metrics.getMeter(NAME)),
    tracing: options.traces ? createTracing(trace.getTracer(NAME)) : null,
    port: sdk?.port ?? 0,
    close: async () => sdk?.close().catch(onProblem),
  };
}
