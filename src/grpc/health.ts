// grpc.health.v1.Health on Connect, complete in itself: it needs to be told which services there are, and whether they serve.
import { setTimeout as sleep } from 'node:timers/promises';
import { Code, ConnectError, type ConnectRouter } from '@connectrpc/connect';
import { Health, HealthCheckResponse_ServingStatus as Status } from '../../gen/health/v1/health_pb.ts';

export type HealthOptions = {
  /** Full names of the services. The empty name, which stands for the whole server, need not be among them. */
  services: string[];
  /** Names that serve for as long as the process runs, also during a stop. */
  alwaysServing: string[];
  /** Must not throw, and may be asked often. */
  isServing(): Promise<boolean>;
};

export type HealthService = {
  routes(router: ConnectRouter): void;
  /** Reports NOT_SERVING from now on. Watchers receive it, and their streams stay open. */
  stop(): void;
  /** Ends the streams of watchers. */
  close(): void;
};

/** How long a change may take to be told. */
const LOOK_EVERY_MS = 1_000;

export function createHealth({ services, alwaysServing, isServing }: HealthOptions): HealthService {
  const always = new Set(alwaysServing);
  const known = new Set(['', ...services, ...alwaysServing]);
  const stopping = new AbortController();
  const closing = new AbortController();

  async function statusNow(service: string): Promise<Status> {
    if (always.has(service)) return Status.SERVING;
    const serves = !stopping.signal.aborted && (await isServing());
    return serves && !stopping.signal.aborted ? Status.SERVING : Status.NOT_SERVING;
  }

  async function* watch(service: string, signal: AbortSignal) {
    const end = AbortSignal.any([signal, closing.signal]);
    const endOrStop = AbortSignal.any([end, stopping.signal]);
    let told: Status | null = null;
    while (!signal.aborted) {
      // No service is added while the process runs, so an unknown one stays that.
      const status = known.has(service) ? await statusNow(service) : Status.SERVICE_UNKNOWN;
      if (status !== told) yield { status };
      told = status;
      if (closing.signal.aborted) return;
      const wake = stopping.signal.aborted ? end : endOrStop;
      await sleep(LOOK_EVERY_MS, undefined, { signal: wake }).catch(() => {});
    }
  }

  return {
    routes(router) {
      router.service(Health, {
        async check({ service }) {
          if (!known.has(service)) throw new ConnectError('there is no such service here', Code.NotFound);
          return { status: await statusNow(service) };
        },
        watch: ({ service }, { signal }) => watch(service, signal),
        async list() {
          const named = async (name: string) => [name, { status: await statusNow(name) }] as const;
          return { statuses: Object.fromEntries(await Promise.all([...known].map(named))) };
        },
      });
    },
    stop: () => stopping.abort(),
    close() {
      stopping.abort();
      closing.abort();
    },
  };
}
