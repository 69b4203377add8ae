// Two replicas are replaced one after the other, several times, under a steady load through a real Envoy or of grpc-go,
// while their connections also end by age. No call is lost.
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import type { Environment } from '../../src/config/config.ts';
import { freePort } from '../../src/dev/free-port.ts';
import type { Mailbox } from '../../src/dev/mailbox.ts';
import { openTestMailbox, testEnvironment } from '../support/app.ts';
import { viaFetch } from '../support/clients.ts';
import { portOf, startEchoService } from '../support/echo-service.ts';
import { socketAddress, startEnvoy } from '../support/envoy.ts';
import { eventually } from '../support/eventually.ts';
import { ENVOY_GATEWAY, type Gateway, startGateway } from '../support/gateway.ts';
import { signedIn } from '../support/people.ts';
import { type RunningProcess, runMain } from '../support/processes.ts';
import { buildGoCaller, startGoCaller } from './go-caller.ts';

const CALLERS = 8;
const PAUSE_MS = 10;
const MIN_CALLS = 30_000;
const MIN_ROUNDS = 3;
const MAX_AGE_SECONDS = 2;
/** The client of grpc-go connects again within a second. */
const RECONNECT_MS = 2_000;
const TIMEOUT_MS = 600_000;
/** Both replicas close their connections several times in each round. */
const MIN_CONNECTIONS = 2 * 2 * MIN_ROUNDS;
const EXTENSIONS = 'type.googleapis.com/envoy.extensions';
const ALLOW_ALL = { '@type': `${EXTENSIONS}.filters.http.ext_authz.v3.ExtAuthzPerRoute`, disabled: true };

let mailbox: Mailbox;
let environment: Environment;
beforeAll(async () => {
  mailbox = await openTestMailbox();
  environment = await testEnvironment(mailbox, {
    SHUTDOWN_DELAY_SECONDS: '3',
    SHUTDOWN_GRACE_SECONDS: '5',
    MAX_CONNECTION_AGE_SECONDS: String(MAX_AGE_SECONDS),
  });
});
afterAll(() => mailbox.close());

/** Checks each request with Latchkey, except calls to Latchkey itself. Never retries. */
function envoyConfiguration(port: number, replicas: number[]): object {
  const authorization = {
    '@type': `${EXTENSIONS}.filters.http.ext_authz.v3.ExtAuthz`,
    transport_api_version: 'V3',
    status_on_error: { code: 'ServiceUnavailable' },
    grpc_service: { envoy_grpc: { cluster_name: 'latchkey' }, timeout: '15s' },
  };
  const routes = [
    {
      match: { prefix: '/latchkey.auth.v1.' },
      route: { cluster: 'latchkey', timeout: '15s' },
      typed_per_filter_config: { 'envoy.filters.http.ext_authz': ALLOW_ALL },
    },
    { match: { prefix: '/' }, direct_response: { status: 200 } },
  ];
  const manager = {
    '@type': `${EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'ingress',
    route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes }] },
    http_filters: [
      { name: 'envoy.filters.http.ext_authz', typed_config: authorization },
      {
        name: 'envoy.filters.http.router',
        typed_config: { '@type': `${EXTENSIONS}.filters.http.router.v3.Router` },
      },
    ],
  };
  const filters = [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }];
  const cluster = {
    name: 'latchkey',
    type: 'STATIC',
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': `${EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions`,
        explicit_http_config: { http2_protocol_options: { max_concurrent_streams: 100 } },
      },
    },
    health_checks: [
      {
        ...{ timeout: '5s', interval: '0.5s', no_traffic_interval: '0.5s' },
        ...{ unhealthy_threshold: 1, healthy_threshold: 1, grpc_health_check: { service_name: 'readiness' } },
      },
    ],
    load_assignment: {
      cluster_name: 'latchkey',
      endpoints: [{ lb_endpoints: replicas.map((replica) => ({ endpoint: { address: socketAddress(replica) } })) }],
    },
  };
  return {
    static_resources: {
      listeners: [{ address: socketAddress(port), filter_chains: [{ filters }] }],
      clusters: [cluster],
    },
  };
}

/** The example with two replicas of Latchkey. */
function exampleWith([first, second]: number[]): Gateway {
  const endpoint = (port?: number) =>
    `- endpoint: { address: { socket_address: { address: localhost, port_value: ${port} } } }`;
  const adapt: Gateway['adapt'] = (text, place) => {
    const both = `${endpoint(first)}\n              ${endpoint(second)}`;
    return ENVOY_GATEWAY.adapt(text.replace(endpoint(first), both), place);
  };
  return { ...ENVOY_GATEWAY, adapt };
}

/** Calls until it is stopped, over persistent connections. `stop` returns the number of responses for each status. */
function steadyLoad(port: number, examplePort: number, accessToken: string) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: CALLERS });
  const statuses: Record<string, number> = {};
  let isOver = false;
  const request = (to: number, method: string, path: string, headers: http.OutgoingHttpHeaders, body = '') =>
    new Promise<string>((resolve) => {
      const name = to === examplePort ? 'example' : method;
      const sent = http.request({ agent, host: '127.0.0.1', port: to, method, path, headers }, (response) => {
        response.resume();
        response.once('end', () => resolve(`${name} ${response.statusCode}`));
      });
      sent.once('error', (error) => resolve(`${name} ${error.message}`));
      sent.end(body);
    });
  const json = { 'content-type': 'application/json' };
  const caller = async () => {
    while (!isOver) {
      for (const status of [
        await request(port, 'GET', '/orders', { authorization: `Bearer ${accessToken}` }),
        await request(examplePort, 'GET', '/orders', { authorization: `Bearer ${accessToken}` }),
        await request(port, 'POST', '/latchkey.auth.v1.AuthService/Verify', json, JSON.stringify({ accessToken })),
      ]) {
        statuses[status] = (statuses[status] ?? 0) + 1;
      }
      await sleep(PAUSE_MS);
    }
  };
  const callers = Array.from({ length: CALLERS }, caller);
  return {
    calls: () => Object.values(statuses).reduce((sum, count) => sum + count, 0),
    async stop() {
      isOver = true;
      await Promise.all(callers);
      agent.destroy();
      return statuses;
    },
  };
}

/** Two processes of the service, until the end of the test. */
async function startReplicas() {
  const ports = [await freePort(), await freePort()];
  const replicas = new Map<number, RunningProcess>();
  const start = (port: number) => replicas.set(port, runMain(['serve'], { ...environment, PORT: `${port}` }));
  ports.forEach(start);
  onTestFinished(() => {
    for (const { child } of replicas.values()) child.kill('SIGKILL');
  });
  return {
    ports,
    /** Replaces the replicas one after the other, until the load is large enough. */
    async restart(isReady: (port: number) => Promise<boolean>, calls: () => number) {
      for (let round = 0; round < MIN_ROUNDS || calls() < MIN_CALLS; round += 1) {
        for (const port of ports) {
          const running = replicas.get(port) as RunningProcess;
          running.child.kill('SIGTERM');
          expect(await running.ended).toBe(0);
          start(port);
          await eventually(() => isReady(port), 60_000);
        }
      }
    },
  };
}

test(
  'rolling restarts of two replicas behind Envoy with health checks lose no call',
  async () => {
    const { ports, restart } = await startReplicas();
    const [port, adminPort] = [await freePort(), await freePort()];
    await startEnvoy(envoyConfiguration(port, ports), adminPort);
    const page = async (path: string) => (await fetch(`http://127.0.0.1:${adminPort}${path}`)).text();
    const isHealthy = async (replica: number) =>
      (await page('/clusters')).includes(`127.0.0.1:${replica}::health_flags::healthy`);
    for (const replica of ports) await eventually(() => isHealthy(replica), 60_000);
    const { accessToken } = await signedIn(viaFetch(`http://127.0.0.1:${port}`));

    const service = await startEchoService();
    const example = await startGateway(exampleWith(ports), { latchkey: ports[0] as number, service: portOf(service) });
    onTestFinished(async () => {
      await example.stop();
      service.closeAllConnections();
      service.close();
    });

    const load = steadyLoad(port, example.port, accessToken);
    await restart(isHealthy, load.calls);
    const connections = Number(/upstream_cx_http2_total: (\d+)/.exec(await page('/stats?filter=latchkey'))?.[1]);
    const statuses = await load.stop();
    expect(Object.keys(statuses).toSorted()).toEqual(['GET 200', 'POST 200', 'example 200']);
    expect(connections).toBeGreaterThan(MIN_CONNECTIONS);
  },
  TIMEOUT_MS,
);

test(
  'rolling restarts of two replicas lose no call of grpc-go',
  async ({ skip }) => {
    if (!(await buildGoCaller())) skip('Go is not installed');
    const { ports, restart } = await startReplicas();
    const isReady = async (port: number) => {
      const isServing = await fetch(`http://127.0.0.1:${port}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      );
      if (isServing) await sleep(RECONNECT_MS);
      return isServing;
    };
    for (const port of ports) await eventually(() => isReady(port), 60_000);
    const { accessToken } = await signedIn(viaFetch(`http://127.0.0.1:${ports[0]}`));

    const load = startGoCaller(ports, accessToken);
    onTestFinished(load.kill);
    await restart(isReady, () => load.counts().calls);
    const { calls, connections, failures } = await load.stop();
    expect(failures).toEqual({});
    expect(calls).toBeGreaterThan(MIN_CALLS);
    expect(connections).toBeGreaterThan(MIN_CONNECTIONS);
  },
  TIMEOUT_MS,
);
