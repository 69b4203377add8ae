export type OtlpProtocol = 'grpc' | 'http/protobuf' | 'http/json';
export type OtlpMetrics = { protocol: OtlpProtocol; intervalMs: number };

export type TelemetryOptions = {
  /** The page for Prometheus; null for none. Port 0 selects a free port. */
  prometheus: { host: string; port: number } | null;
  /** Null: metrics are not sent. */
  otlpMetrics: OtlpMetrics | null;
  traces: boolean;
  /** LATCHKEY_COMMIT. Without it, the commit of the checkout is reported. */
  commit?: string | undefined;
};
