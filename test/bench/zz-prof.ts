import { h2load, startServer, startBackends, signIn, SERVER_CORE } from './harness.ts';
import { create, toBinary } from '@bufbuild/protobuf';
import { VerifyRequestSchema } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { CheckRequestSchema } from '../../gen/envoy/service/auth/v3/external_auth_pb.ts';
const env = (b: Uint8Array) => { const p = Buffer.alloc(5); p.writeUInt32BE(b.length, 1); return Buffer.concat([p, b]); };
const backends = await startBackends();
const { environment, folder } = backends;
const dir = process.argv[3] as string;
const s = await startServer(['--cpu-prof', `--cpu-prof-dir=${dir}`, 'src/main.ts', 'serve'], environment, SERVER_CORE);
const { accessToken } = await signIn(s.url);
const base = { headers: { 'content-type': 'application/grpc', te: 'trailers', 'grpc-timeout': '5S' }, http1: false, connections: 4, streams: 25 };
const envoyHeaders = { ':authority': 'shop.example', ':method': 'GET', ':path': '/orders', ':scheme': 'https', accept: '*/*', 'user-agent': 'curl/8', 'x-forwarded-proto': 'https', 'x-request-id': 'b3f8d5c2-1111-4222-8333-944445555666', authorization: `Bearer ${accessToken}` };
const loads: any = {
  verify: { ...base, path: '/latchkey.auth.v1.AuthService/Verify', body: env(toBinary(VerifyRequestSchema, create(VerifyRequestSchema, { accessToken }))) },
  check: { ...base, path: '/envoy.service.auth.v3.Authorization/Check', body: env(toBinary(CheckRequestSchema, create(CheckRequestSchema, { attributes: { request: { http: { method: 'GET', path: '/orders', headers: envoyHeaders } } } }))) },
  fa: { path: '/forward-auth?role=user', body: Buffer.alloc(0), headers: { authorization: `Bearer ${accessToken}`, 'x-forwarded-method': 'GET', 'x-forwarded-host': 'shop.example', 'x-forwarded-uri': '/orders' }, http1: true, connections: 16, streams: 1 },
  json: { path: '/latchkey.auth.v1.AuthService/Verify', body: Buffer.from(JSON.stringify({ accessToken })), headers: { 'content-type': 'application/json' }, http1: true, connections: 16, streams: 1 },
  getme: { ...base, path: '/latchkey.auth.v1.AccountService/GetMe', body: env(new Uint8Array()), headers: { ...base.headers, authorization: `Bearer ${accessToken}` } },
};
const r = await h2load(s, loads[process.argv[2] as string], Number(process.argv[4] ?? 3), folder);
console.log(process.argv[2], Math.round(r.perSecond), r.cpuPerCall.toFixed(1));
await s.stop(); await backends.stop(); process.exit();
