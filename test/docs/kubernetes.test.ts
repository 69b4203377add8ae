// The manifests of deploy/kubernetes fit the service: their settings are valid, and their probes exist.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { expect, test } from 'vitest';
import { Health, HealthCheckResponse_ServingStatus as Status } from '../../gen/health/v1/health_pb.ts';
import { readConfig } from '../../src/config/config.ts';
import { startTestApp } from '../support/app.ts';
import { eventually } from '../support/eventually.ts';

/** The longest time for closing, after the delay and the grace. */
const CLOSING_SECONDS = 10;
const DOCUMENTS = readFileSync('deploy/kubernetes/latchkey.yaml', 'utf8').split(/^---$/m);

function manifest(kind: string, name: string): string {
  const found = DOCUMENTS.find((text) => text.includes(`kind: ${kind}\nmetadata: { name: ${name} }`));
  if (!found) throw new Error(`there is no ${kind} ${name}`);
  return found;
}

function matches(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map((match) => match[1] as string);
}

const serve = manifest('Deployment', 'latchkey-serve');
const worker = manifest('Deployment', 'latchkey-worker');
const settings = [...manifest('ConfigMap', 'latchkey').matchAll(/^ {2}([A-Z_]+): "?([^"\n]*)"?$/gm)];
const config = readConfig({
  ...Object.fromEntries(settings.map(([, key, value]) => [key, value])),
  DATABASE_URL: 'postgres://latchkey:0a1b2c3d4e5f6071@db/latchkey?sslmode=verify-full',
  REDIS_URL: 'rediss://cache',
  SMTP_URL: 'smtps://mail',
  MASTER_KEY: randomBytes(32).toString('base64'),
});

test('pods have more time to stop than the delay, the grace and the closing take', () => {
  const { shutdownDelayMs, shutdownGraceMs } = config.process;
  const longest = (shutdownDelayMs + shutdownGraceMs) / 1000 + CLOSING_SECONDS;
  expect(shutdownDelayMs).toBeGreaterThan(0);
  for (const deployment of [serve, worker]) {
    const [seconds] = matches(deployment, /terminationGracePeriodSeconds: (\d+)/g);
    expect(Number(seconds)).toBeGreaterThan(longest);
  }
  const [compose] = matches(readFileSync('docker-compose.yml', 'utf8'), /stop_grace_period: (\d+)s/g);
  expect(Number(compose)).toBeGreaterThan(longest);
});

test('every port is the one that the process listens on', () => {
  const port = /(?:containerPort|port): (\d+)/g;
  expect(new Set(matches(serve, port))).toEqual(new Set([String(config.http.port)]));
  expect(new Set(matches(manifest('Service', 'latchkey'), port))).toEqual(new Set([String(config.http.port)]));
  expect(new Set(matches(worker, port))).toEqual(new Set([String(config.http.healthPort)]));
});

test('the probes of the API answer', async () => {
  const app = await startTestApp({}, { api: true, worker: false });
  const health = createClient(Health, createGrpcTransport({ baseUrl: app.url }));
  const services = matches(serve, /grpc: \{ port: \d+, service: (\w+) \}/g);
  expect(services).toEqual(['liveness', 'readiness']);
  for (const service of services) expect((await health.check({ service })).status).toBe(Status.SERVING);
  await app.close();
});

test('the probes of a worker answer', async () => {
  const app = await startTestApp({ HEALTH_PORT: '0' }, { api: false, worker: true });
  const paths = matches(worker, /httpGet: \{ port: \d+, path: (\S+) \}/g);
  expect(paths).toEqual(['/healthz', '/readyz']);
  for (const path of paths) {
    await eventually(async () => (await fetch(`http://127.0.0.1:${app.healthPort}${path}`)).status === 200);
  }
  await app.close();
});
