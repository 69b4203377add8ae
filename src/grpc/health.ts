// The service grpc.health.v1.Health for Connect. Self-contained: the caller passes the services and a check whether
// they serve.
import { setTimeout as sleep } from 'node:timers/promises';
import { Code, ConnectError, type ConnectRouter } from '@connectrpc/connect';
import { Health, HealthCheckResponse_ServingStatus as Status } from '../../gen/health/v1/health_pb.ts';

export type HealthOptions = {
  /** The empty name (the whole server) is added. */
  services: string[];
  /** Names that are SERVING as long as the process runs, also during a stop. */
  alwaysServing: string[];
  /** Runs once a second for each watcher. Must not throw. */
  isServing(): Promise<boolean>;
};

export type HealthService = {
  routes(router: ConnectRouter): void;
  /** Whether a service serves, as of the last half second. Null for an unknown service, and when a check is due. */
  recentlyServing(service: string): boolean | null;
  /** Watchers receive NOT_SERVING, and their streams stay open. */
  stop(): void;
  close(): void;
};

const CHECK_EVERY_MS = 1_000;
const RECENT_MS = 500;

export function createHealth({ services, alwaysServing, isServing }: HealthOptions): HealthService {
  const always = new Set(alwaysServing);
  const known = new Set(['', ...services, ...alwaysServing]);
  const stopping = new AbortController();
  const closing = new AbortController();

  let last = { isServing: false, at: Number.NEGATIVE_INFINITY };

  async function check(): Promise<boolean> {
    const at = performance.now();
    last = { isServing: await isServing(), at };
    return last.isServing;
  }

  async function statusNow(service: string): Promise<Status> {
    if (always.has(service)) return Status.SERVING;
    const serves = !stopping.signal.aborted && (await check());
    return serves && !stopping.signal.aborted ? Status.SERVING : Status.NOT_SERVING;
  }

  async function* watch(service: string, signal: AbortSignal) {
    const end = AbortSignal.any([signal, closing.signal]);
    const endOrStop = AbortSignal.any([end, stopping.signal]);
    let sent: Status | null = null;
    while (!signal.aborted) {
      // No service is added while the process runs, so an unknown service stays unknown.
      const status = known.has(service) ? await statusNow(service) : Status.SERVICE_UNKNOWN;
      if (status !== sent) yield { status };
      sent = status;
      if (closing.signal.aborted) return;
      const wake = stopping.signal.aborted ? end : endOrStop;
      await sleep(CHECK_EVERY_MS, undefined, { signal: wake }).catch(() => {});
    }
  }

  return {
    routes(router) {
      router.service(Health, {
        async check({ service }) {
          if (!known.has(service)) throw new ConnectError('service not found', Code.NotFound);
          return { status: await statusNow(service) };
        },
        watch: ({ service }, { signal }) => watch(service, signal),
        async list() {
          const named = async (name: string) => [name, { status: await statusNow(name) }] as const;
          return { statuses: Object.fromEntries(await Promise.all([...known].map(named))) };
        },
      });
    },
    recentlyServing(service) {
      if (!known.has(service)) return null;
      if (always.has(service)) return true;
      if (stopping.signal.aborted) return false;
      return performance.now() - last.at < RECENT_MS ? last.isServing : null;
    },
    stop: () => stopping.abort(),
    close() {
      stopping.abort();
      closing.abort();
    },
  };
}
