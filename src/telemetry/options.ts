export type OtlpProtocol = 'grpc' | 'http/protobuf' | 'http/json';

export type TelemetryOptions = {
  /** The page for Prometheus; null for none. Port 0 selects a free port. */
  prometheus: { host: string; port: number } | null;
  /** Null: metrics are not sent. */
  otlpMetrics: { protocol: OtlpProtocol; intervalMs: number } | null;
  traces: boolean;
};
