// Calls without credentials, over every protocol, and their cost for the service's main thread.
import http2 from 'node:http2';
import type { DescMethod, DescService } from '@bufbuild/protobuf';
import { Authorization } from '../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { ServerReflection } from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ServerReflectionAlpha } from '../../gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { Health } from '../../gen/health/v1/health_pb.ts';
import { AuthService } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { Access } from '../../gen/latchkey/auth/v1/options_pb.ts';
import { accessOf } from '../../src/server/rpc/access.ts';
import { type Costly, costlyMessages } from './costly-messages.ts';
import { mainThreadMs } from './main-thread.ts';
import { envelope } from './raw.ts';

const SERVICES: DescService[] = [AuthService, Health, ServerReflection, ServerReflectionAlpha, Authorization];
export const PUBLIC_METHODS = SERVICES.flatMap(({ methods }) =>
  methods.filter((method) => accessOf({ hasPublicReflection: true }, method) === Access.PUBLIC),
);

type Call = { contentType: string; body: Buffer };
export type Cost = { name: string; ms: number };

/** The number of calls measured together, at the first pass and twice for the worst ones: noise only adds. */
const [FEW, MANY] = [3, 12];
const LOOKED_AT_AGAIN = 3;
/** On one connection: a client that resets more of them in a while is disconnected. */
const MAX_STREAMS = 120;

/** A message in every encoding that a protocol has for it. */
function callsOf(method: DescMethod, { bytes, isJson }: Costly): Call[] {
  const codec = isJson ? 'json' : 'proto';
  const isUnary = method.methodKind === 'unary';
  return [
    { contentType: `application/grpc+${codec}`, body: envelope(bytes) },
    { contentType: `application/grpc-web+${codec}`, body: envelope(bytes) },
    { contentType: `application/${isUnary ? '' : 'connect+'}${codec}`, body: isUnary ? bytes : envelope(bytes) },
  ];
}

/** The worst of all costly messages and protocols, and beside it a call with an empty message. */
export async function worstOf(pid: number, url: string, method: DescMethod): Promise<{ worst: Cost; plain: Cost }> {
  let session = http2.connect(url);
  let streams = 0;
  const cost = async (call: Call, calls: number) => {
    streams += calls;
    if (streams > MAX_STREAMS) {
      session.close();
      [session, streams] = [http2.connect(url), calls];
      await callOnce(session, method, call);
    }
    return costOf(pid, calls, () => callOnce(session, method, call));
  };
  const looks: (Cost & { call: Call })[] = [];
  for (const message of costlyMessages(method.input)) {
    for (const call of callsOf(method, message)) {
      looks.push({ name: `${message.name}, ${call.contentType}`, ms: await cost(call, FEW), call });
    }
  }
  let worst: Cost = { name: '', ms: 0 };
  for (const { name, call } of looks.toSorted((a, b) => b.ms - a.ms).slice(0, LOOKED_AT_AGAIN)) {
    const ms = Math.min(await cost(call, MANY), await cost(call, MANY));
    if (ms > worst.ms) worst = { name, ms };
  }
  const [plain] = callsOf(method, { name: 'empty', bytes: Buffer.alloc(0), isJson: false });
  const ms = await cost(plain as Call, MANY);
  session.close();
  return { worst, plain: { name: 'empty', ms } };
}

/** Milliseconds of the main thread for each call. */
export async function costOf(pid: number, calls: number, once: () => Promise<void>): Promise<number> {
  const before = mainThreadMs(pid);
  for (let n = 0; n < calls; n += 1) await once();
  return (mainThreadMs(pid) - before) / calls;
}

/** Waits until the response has begun; a response that is not a stream must also have ended. */
function callOnce(session: http2.ClientHttp2Session, method: DescMethod, { contentType, body }: Call): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': `/${method.parent.typeName}/${method.name}`,
      'content-type': contentType,
      te: 'trailers',
    });
    stream.on('error', reject);
    stream.on('close', resolve);
    stream.on('data', () => {
      if (method.methodKind !== 'unary') stream.close();
    });
    stream.end(body);
  });
}
