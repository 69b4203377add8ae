// grpc.health.v1.Health on Connect, complete in itself: it needs to be told which services there are, and whether they serve.
import { setTimeout as sleep } from 'node:timers/promises';
import { Code, ConnectError, type ConnectRouter } from '@connectrpc/connect';
import { Health, HealthCheckResponse_ServingStatus as Status } from '../../gen/health/v1/health_pb.ts';

export type HealthOptions = {
  /** Full names of the services. The empty name, which stands for the whole server, need not be among them. */
  services: string[];
  /** Must not throw, and may be asked often. */
  isServing(): Promise<boolean>;
};

export type HealthService = {
  routes(router: ConnectRouter): void;
  /** From now on nothing serves. Those who watch hear it, and their streams end. */
  stop(): void;
};

/** How long a change may take to be told. */
const LOOK_EVERY_MS = 1_000;

export function createHealth({ services, isServing }: HealthOptions): HealthService {
  const known = new Set(['', ...services]);
  const stopping = new AbortController();

  async function statusNow(): Promise<Status> {
    const serves = !stopping.signal.aborted && (await isServing());
    return serves && !stopping.signal.aborted ? Status.SERVING : Status.NOT_SERVING;
  }

  async function* watch(service: string, signal: AbortSignal) {
    const end = AbortSignal.any([signal, stopping.signal]);
    let told: Status | null = null;
    while (!signal.aborted) {
      // No service is added while the process runs, so an unknown one stays that.
      const status = known.has(service) ? await statusNow() : Status.SERVICE_UNKNOWN;
      if (status !== told) yield { status };
      told = status;
      if (stopping.signal.aborted) return;
      await sleep(LOOK_EVERY_MS, undefined, { signal: end }).catch(() => {});
    }
  }

  return {
    routes(router) {
      router.service(Health, {
        async check({ service }) {
          if (!known.has(service)) throw new ConnectError('there is no such service here', Code.NotFound);
          return { status: await statusNow() };
        },
        watch: ({ service }, { signal }) => watch(service, signal),
        async list() {
          const status = await statusNow();
          return { statuses: Object.fromEntries([...known].map((name) => [name, { status }])) };
        },
      });
    },
    stop: () => stopping.abort(),
  };
}
