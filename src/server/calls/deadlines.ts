export type TimeoutHeader = 'grpc-timeout' | 'connect-timeout-ms';

/** Each parser returns milliseconds, or null for invalid text. */
export const TIMEOUTS = { 'grpc-timeout': parseGrpcTimeout, 'connect-timeout-ms': parseConnectTimeout };

const GRPC_UNITS_MS: Record<string, number> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };
/** gRPC allows eight digits. */
const MAX_TIMEOUT = 99_999_999;
/** A timer of more than 24 days would end at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

function parseGrpcTimeout(text: string): number | null {
  const [, digits, unit = ''] = /^(\d{1,8})([HMSmun])$/.exec(text) ?? [];
  const factor = GRPC_UNITS_MS[unit];
  return factor === undefined ? null : Number(digits) * factor;
}

function parseConnectTimeout(text: string): number | null {
  return /^\d{1,10}$/.test(text) ? Number(text) : null;
}

/** Replaces the timeout of a request by what remains of it. A timeout without a practical end is removed. */
export function remainingTimeout(headers: Headers, elapsedMs: number): void {
  for (const [name, parse] of Object.entries(TIMEOUTS)) {
    const milliseconds = parse(headers.get(name) ?? '');
    if (milliseconds === null) continue;
    if (milliseconds > MAX_TIMER_MS) headers.delete(name);
    else headers.set(name, formatTimeout(name as TimeoutHeader, milliseconds - elapsedMs));
  }
}

/** In whole milliseconds, rounded down. A negative time has passed. */
function formatTimeout(name: TimeoutHeader, milliseconds: number): string {
  const whole = Math.max(0, Math.floor(Math.min(milliseconds, MAX_TIMEOUT)));
  return name === 'grpc-timeout' ? `${whole}m` : String(whole);
}
