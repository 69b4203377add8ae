// The manifests of deploy/kubernetes fit the service: their settings are valid, and their probes exist.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { Health, HealthCheckResponse_ServingStatus as Status } from '../../gen/health/v1/health_pb.ts';
import { readConfig } from '../../src/config/config.ts';
import { startTestApp } from '../support/app.ts';
import { eventually } from '../support/eventually.ts';

type Probe = { grpc?: { port: number; service: string }; httpGet?: { path: string; port: string } };
type Container = {
  args: string[];
  ports: { name: string; containerPort: number }[];
  startupProbe: Probe;
  livenessProbe: Probe;
  readinessProbe: Probe;
};
type Pod = { terminationGracePeriodSeconds: number; containers: [Container] };
type Labels = Record<string, string>;
type Manifest = {
  kind: string;
  metadata: { name: string };
  data: Labels;
  spec: {
    selector: Labels & { matchLabels: Labels };
    ports: { targetPort: string }[];
    template: { metadata: { labels: Labels }; spec: Pod };
  };
};

/** The longest time for closing, after the delay and the grace. */
const CLOSING_SECONDS = 10;
/** Variables that the kubelet sets in every pod. */
const OF_THE_KUBELET = { KUBERNETES_SERVICE_HOST: '10.0.0.1', KUBERNETES_PORT: 'tcp://10.0.0.1:443', HOSTNAME: 'pod' };
const MANIFESTS = parseAllDocuments(readFileSync('deploy/kubernetes/latchkey.yaml', 'utf8')).map(
  (document) => document.toJS() as Manifest,
);

function manifest(kind: string, name: string): Manifest {
  const found = MANIFESTS.find((one) => one.kind === kind && one.metadata.name === name);
  if (!found) throw new Error(`there is no ${kind} ${name}`);
  return found;
}

const [serve, worker] = ['latchkey-serve', 'latchkey-worker'].map((name) => manifest('Deployment', name).spec.template);
const podOf = (template: typeof serve): Pod => template?.spec as Pod;
const containerOf = (template: typeof serve): Container => podOf(template).containers[0];
const config = readConfig({
  ...manifest('ConfigMap', 'latchkey').data,
  ...OF_THE_KUBELET,
  DATABASE_URL: 'postgres://latchkey:0a1b2c3d4e5f6071@db/latchkey?sslmode=verify-full',
  REDIS_URL: 'rediss://cache',
  SMTP_URL: 'smtps://mail',
  MASTER_KEY: randomBytes(32).toString('base64'),
});

test('pods have more time to stop than the delay, the grace and the closing take', () => {
  const { shutdownDelayMs, shutdownGraceMs } = config.process;
  const longest = (shutdownDelayMs + shutdownGraceMs) / 1000 + CLOSING_SECONDS;
  expect(shutdownDelayMs).toBeGreaterThan(0);
  for (const pod of [serve, worker].map(podOf)) expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(longest);
  const compose = /stop_grace_period: (\d+)s/.exec(readFileSync('docker-compose.yml', 'utf8'))?.[1];
  expect(Number(compose)).toBeGreaterThan(longest);
});

test('every port is one that the process listens on', () => {
  const portsOf = (template: typeof serve) =>
    Object.fromEntries(containerOf(template).ports.map(({ name, containerPort }) => [name, containerPort]));
  const metrics = config.telemetry.prometheus?.port;
  expect(portsOf(serve)).toEqual({ grpc: config.http.port, health: config.http.healthPort, metrics });
  expect(portsOf(worker)).toEqual({ health: config.http.healthPort, metrics });
});

test('every selector matches the labels of one kind of pod', () => {
  const pods = [serve, worker].map((template) => template?.metadata.labels ?? {});
  const matches = (selector: Labels) =>
    pods.filter((labels) => Object.entries(selector).every(([name, value]) => labels[name] === value));
  const selectors = MANIFESTS.flatMap(({ spec }) => spec?.selector ?? []).map(
    ({ matchLabels, ...labels }) => matchLabels ?? labels,
  );
  expect(selectors.length).toBeGreaterThanOrEqual(6);
  for (const selector of selectors) expect(matches(selector)).toHaveLength(1);
});

test('the probes of the API answer', async () => {
  const app = await startTestApp({}, { api: true, worker: false });
  const health = createClient(Health, createGrpcTransport({ baseUrl: app.url }));
  const { startupProbe, livenessProbe, readinessProbe } = containerOf(serve);
  const services = [startupProbe, livenessProbe, readinessProbe].map(({ grpc }) => grpc?.service);
  expect(services).toEqual(['liveness', 'liveness', 'readiness']);
  for (const service of ['liveness', 'readiness']) {
    expect((await health.check({ service })).status).toBe(Status.SERVING);
  }
  await app.close();
});

test('the probes of a worker answer', async () => {
  const app = await startTestApp({ HEALTH_PORT: '0' }, { api: false, worker: true });
  const { livenessProbe, readinessProbe } = containerOf(worker);
  const paths = [livenessProbe, readinessProbe].map(({ httpGet }) => httpGet?.path);
  expect(paths).toEqual(['/healthz', '/readyz']);
  for (const path of paths) {
    await eventually(async () => (await fetch(`http://127.0.0.1:${app.healthPort}${path}`)).status === 200);
  }
  await app.close();
});
