// Reports finished calls to the log, the metrics and the traces, without tokens, emails or passwords. Calls that
// gateways make for every request are logged as sums every ten seconds; the first ten of their rejections in each
// second have a line of their own, so that an operator sees the reason.

import { rateGate } from '../../async/rate-gate.ts';
import type { Reason } from '../../domain/error-reason.ts';
import { keyName } from '../../domain/principal.ts';
import type { Log } from '../../process/log.ts';
import type { LogFields } from '../../process/log-fields.ts';
import type { EndedCall, Metrics } from '../../telemetry/metrics.ts';
import type { RpcSystem } from '../../telemetry/rpc-conventions.ts';
import type { ReadHeader, Tracing } from '../../telemetry/tracing.ts';
import type { AccessClaims, Explanation } from '../../verifier/access-token.ts';
import type { CallRecord } from './call-record.ts';

type CountedCall = {
  method: string;
  system: RpcSystem;
  code: string;
  reason: Reason | '';
  /** performance.now() */
  startedAt: number;
  /** Called only for a log line: reading it from a socket is slow. */
  peer: () => string;
  requestId: string;
  /** The credential that was examined. Only for the log line of a rejection. */
  credential?: string | undefined;
  noted?: LogFields;
};

type FastCall = CountedCall & { header: ReadHeader };

/** Describes an access token: its user and session, and why it is invalid. */
export type ExplainToken = (token: string) => Explanation;

export type CallLog = {
  /** @param wasWritten also true when the client left before there was a response */
  write(record: CallRecord, wasWritten: boolean): void;
  count(call: FastCall): void;
  close(): void;
};

type Tally = { method: string; code: string; reason: Reason | ''; calls: number; sumMs: number; maxMs: number };

const COUNTED_METHODS = new Set([
  'latchkey.auth.v1.AuthService/Verify',
  'latchkey.auth.v1.AuthService/CheckRole',
  'latchkey.auth.v1.VerifierService/BatchVerify',
  'envoy.service.auth.v3.Authorization/Check',
  'grpc.health.v1.Health/Check',
  'forward-auth',
  'oauth/introspect',
]);

const FLUSH_EVERY_MS = 10_000;
const MAX_REJECTION_LINES_PER_SECOND = 10;
/** Each can cost the verification of a signature. */
const MAX_EXPLANATIONS_PER_SECOND = 20;
/** Fields of a credential that a successful call has examined, not of its caller. */
const OF_REJECTIONS = { reason_detail: undefined, service: undefined, service_key: undefined };
const CLIENT_DISCONNECTED = 'canceled';

export function createCallLog(
  log: Log,
  metrics: Pick<Metrics, 'callEnded'>,
  tracing: Pick<Tracing, 'record'> | null,
  explain: ExplainToken = () => ({ cause: null, claims: null }),
): CallLog {
  const tallies = new Map<string, Tally>();
  const mayLogRejection = rateGate({ passes: MAX_REJECTION_LINES_PER_SECOND, windowMs: 1_000 });
  const mayExplain = rateGate({ passes: MAX_EXPLANATIONS_PER_SECOND, windowMs: 1_000 });
  const timer = setInterval(flush, FLUSH_EVERY_MS).unref();

  function flush(): void {
    for (const { method, code, reason, calls, sumMs, maxMs } of tallies.values()) {
      log.info(
        {
          method,
          code,
          ...(reason && { reason }),
          calls,
          duration_ms: round(sumMs / calls),
          max_duration_ms: round(maxMs),
        },
        'calls',
      );
    }
    tallies.clear();
  }

  function aggregate(call: CountedCall, durationMs: number): void {
    const { method, code, reason, peer, requestId, credential = '', noted } = call;
    const key = reason === '' ? method : method + reason;
    let tally = tallies.get(key);
    if (!tally) {
      tally = { method, code, reason, calls: 0, sumMs: 0, maxMs: 0 };
      tallies.set(key, tally);
    }
    tally.calls += 1;
    tally.sumMs += durationMs;
    if (durationMs > tally.maxMs) tally.maxMs = durationMs;
    if (reason !== '' && mayLogRejection()) {
      const fields = {
        method,
        code,
        reason,
        duration_ms: round(durationMs),
        client_address: peer(),
        ...noted,
        ...fieldsOfToken(credential),
        request_id: requestId,
      };
      log.info(fields, 'call');
    }
  }

  function fieldsOfToken(token: string): LogFields {
    if (token === '' || !mayExplain()) return {};
    const { cause, claims } = explain(token);
    return {
      ...(cause !== null && { reason_detail: cause }),
      ...(claims && subjectOf(claims)),
    };
  }

  return {
    write(record, wasWritten) {
      const { method, system, reason, principal, address, requestId, startedAt, error, span } = record;
      const durationMs = performance.now() - startedAt;
      const wasAnswered = wasWritten && record.code !== '';
      const code = wasAnswered ? record.code : CLIENT_DISCONNECTED;
      const origin = () => ({ address, requestId });
      const ended: EndedCall = { method, system, code, reason: wasAnswered ? reason : '', durationMs, origin };
      metrics.callEnded(ended);
      span?.end(ended);
      const isPlain = wasAnswered && error === undefined;
      const { bearer: credential, noted } = record;
      if (isPlain && COUNTED_METHODS.has(method)) {
        return aggregate({ ...record, credential, peer: () => address }, durationMs);
      }
      const isIdentified = principal !== null || noted.user_id !== undefined;
      const fields = {
        method,
        code,
        ...(ended.reason && { reason: ended.reason }),
        duration_ms: round(durationMs),
        client_address: address,
        ...(ended.reason && !isIdentified && fieldsOfToken(credential)),
        ...(ended.reason ? noted : { ...noted, ...OF_REJECTIONS }),
        request_id: requestId,
        ...callerFields(record),
        ...(error !== undefined && { err: error }),
      };
      if (reason === 'INTERNAL') log.error(fields, 'call');
      else if (error !== undefined) log.warn(fields, 'call');
      else log.info(fields, 'call');
    },

    count(call) {
      const { method, system, code, reason, startedAt, header, requestId } = call;
      const origin = () => ({ address: call.peer(), requestId });
      const ended: EndedCall = { method, system, code, reason, durationMs: performance.now() - startedAt, origin };
      metrics.callEnded(ended);
      const span = tracing?.record(ended, startedAt, header);
      aggregate(span ? { ...call, noted: { ...call.noted, ...span } } : call, ended.durationMs);
    },

    close() {
      clearInterval(timer);
      flush();
    },
  };
}

function callerFields({ principal, service }: CallRecord): LogFields {
  const named = service?.principal ?? (principal?.kind === 'service' ? principal : null);
  const key = named && keyName(named);
  return {
    ...(principal?.kind === 'user' && { user_id: principal.userId, session_id: principal.sessionId }),
    ...(named && { service: named.name }),
    ...(key && { service_key: key }),
  };
}

function subjectOf({ sub, sid, email, client_id }: AccessClaims): LogFields {
  return email === undefined ? { service: client_id, service_key: sid } : { user_id: sub, session_id: sid };
}

function round(milliseconds: number): number {
  return Math.round(milliseconds * 100) / 100;
}
