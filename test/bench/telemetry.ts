// `npm run bench:telemetry [-- rounds]` measures the cost of metrics and traces for Verify (gRPC, repeated token), beside a run without.
// The collector accepts everything, on the other core.
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { create, toBinary } from '@bufbuild/protobuf';
import { VerifyRequestSchema } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import type { Environment } from '../../src/config/config.ts';
import { envelope } from '../support/raw.ts';
import { h2load, LOAD_CORE, median, pin, type Rate, SERVER_CORE, serve, signIn, startBackends } from './harness.ts';

const SECONDS = 2;
const rounds = Number(process.argv[2] ?? 4);

pin(process.pid, LOAD_CORE);
const backends = await startBackends();
const collector = http.createServer((request, response) => request.resume().on('end', () => response.end()));
await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
const OTEL_EXPORTER_OTLP_ENDPOINT = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
const traces = { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_METRICS_EXPORTER: 'none' };
const KINDS: [name: string, environment: Environment][] = [
  ['neither', {}],
  ['metrics, for Prometheus', { METRICS_PORT: '0' }],
  ['traces, of one call in 100', { ...traces, OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.01' }],
  ['traces, of every call', traces],
];
const contenders = [];
for (const [name, more] of KINDS) {
  contenders.push({
    name,
    server: await serve({ ...backends.environment, ...more }, SERVER_CORE),
    rates: [] as Rate[],
  });
}
// At a server of its own: a server that has hashed and signed before has another heap.
const service = await serve(backends.environment, SERVER_CORE);
const { accessToken } = await signIn(service.url);
await service.stop();
const load = {
  path: '/latchkey.auth.v1.AuthService/Verify',
  body: envelope(toBinary(VerifyRequestSchema, create(VerifyRequestSchema, { accessToken }))),
  headers: { 'content-type': 'application/grpc', te: 'trailers' },
  http1: false,
  connections: 4,
  streams: 25,
};
// The first round warms up.
for (let round = -1; round < rounds; round += 1) {
  for (const { server, rates } of contenders) {
    const rate = await h2load(server, load, SECONDS, backends);
    if (round >= 0) rates.push(rate);
  }
}
const cpu = (rates: Rate[]) => rates.map(({ cpuPerCall }) => cpuPerCall);
const base = cpu(contenders[0]?.rates ?? []);
console.log('telemetry                    CPU a call   against neither (medians of the ratios of each round)');
for (const { name, rates } of contenders) {
  const ratio = median(cpu(rates).map((one, round) => one / (base[round] as number)));
  console.log(`${name.padEnd(28)} ${median(cpu(rates)).toFixed(1).padStart(7)} µs ${ratio.toFixed(2).padStart(9)}`);
}
for (const { server } of contenders) await server.stop();
await backends.stop();
process.exit();
