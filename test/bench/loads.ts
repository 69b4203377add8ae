// The requests that `npm run bench` sends, and the right answer to each.
import { readFileSync } from 'node:fs';
import { create, type DescMessage, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import * as grpc from '@grpc/grpc-js';
import { CheckRequestSchema, CheckResponseSchema } from '../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import {
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatus,
  HealthCheckResponseSchema,
} from '../../gen/health/v1/health_pb.ts';
import {
  CheckRoleRequestSchema,
  CheckRoleResponseSchema,
  VerifyRequestSchema,
  VerifyResponseSchema,
} from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { BatchVerifyRequestSchema, BatchVerifyResponseSchema } from '../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import { envelope } from '../support/raw.ts';
import { VERIFY_PATH } from './contenders.ts';
import { type Load, SERVICE_KEY, type Server } from './harness.ts';

export type Answer = { body: Buffer; headers: Record<string, string> };
export type CheckedLoad = Load & { isRight(answer: Answer): boolean };

export const BATCH = 100;
const ROLE = 'user';
const OVER_HTTP2 = { http1: false, connections: 4, streams: 25 };
const OVER_HTTP1 = { http1: true, connections: 16, streams: 1 };
const GRPC = { 'content-type': 'application/grpc', te: 'trailers', 'grpc-timeout': '5S' };
const BEARER = { authorization: `Bearer ${SERVICE_KEY}` };
export const GRPC_PREFIX_BYTES = 5;

/** All for the same access token of a user. */
export function createLoads(accessToken: string) {
  const bearer = { authorization: `Bearer ${accessToken}` };
  const verify = grpcLoad(VERIFY_PATH, VerifyRequestSchema, { accessToken }, isPrincipal);
  const json = {
    path: VERIFY_PATH,
    body: Buffer.from(JSON.stringify({ accessToken })),
    headers: { 'content-type': 'application/json' },
    ...OVER_HTTP1,
    isRight: ({ body }: Answer) => JSON.parse(body.toString()).principal.roles.includes(ROLE),
  };
  const forwardAuth = {
    path: '/forward-auth',
    body: null,
    headers: {
      ...bearer,
      'x-forwarded-for': '192.0.2.7',
      'x-forwarded-host': 'shop.example',
      'x-forwarded-method': 'GET',
      'x-forwarded-proto': 'https',
      'x-forwarded-uri': '/orders',
    },
    ...OVER_HTTP1,
    isRight: ({ headers }: Answer) => headers['x-auth-roles'] === ROLE,
  };
  return {
    verify,
    json,
    /** The same message without the prefix of gRPC. */
    connect: {
      ...json,
      body: messageOf(verify),
      headers: { 'content-type': 'application/proto' },
      isRight: isPrincipal,
    },
    extAuthz: grpcLoad(
      '/envoy.service.auth.v3.Authorization/Check',
      CheckRequestSchema,
      { attributes: { request: { http: { method: 'GET', path: '/orders', headers: envoyHeaders(bearer) } } } },
      ({ body }) => fromBinary(CheckResponseSchema, body).status?.code === 0,
    ),
    checkRole: grpcLoad(
      '/latchkey.auth.v1.AuthService/CheckRole',
      CheckRoleRequestSchema,
      { subject: { case: 'accessToken', value: accessToken }, role: ROLE },
      ({ body }) => fromBinary(CheckRoleResponseSchema, body).allowed,
    ),
    health: grpcLoad(
      '/grpc.health.v1.Health/Check',
      HealthCheckRequestSchema,
      {},
      ({ body }) => fromBinary(HealthCheckResponseSchema, body).status === HealthCheckResponse_ServingStatus.SERVING,
    ),
    batch: {
      ...grpcLoad(
        '/latchkey.auth.v1.VerifierService/BatchVerify',
        BatchVerifyRequestSchema,
        { accessTokens: Array.from({ length: BATCH }, () => accessToken) },
        ({ body }) => fromBinary(BatchVerifyResponseSchema, body).verdicts.every(({ principal }) => principal),
      ),
      headers: { ...GRPC, ...BEARER },
      streams: 2,
    },
    forwardAuth,
    forwardAuthWithRole: { ...forwardAuth, path: `/forward-auth?role=${ROLE}` },
    introspection: {
      path: '/oauth/introspect',
      body: Buffer.from(new URLSearchParams({ token: accessToken }).toString()),
      headers: {
        authorization: `Basic ${Buffer.from(`bench:${SERVICE_KEY}`).toString('base64')}`,
        'content-type': 'application/x-www-form-urlencoded',
      },
      ...OVER_HTTP1,
      isRight: ({ body }: Answer) => JSON.parse(body.toString()).active === true,
    },
  };
}

/** The same request to a server that answers each with a message of this length. */
export function withAnswerBytes(load: Load, length: number): CheckedLoad {
  return { ...load, isRight: ({ body }) => body.length === length };
}

export function messageOf({ body }: Load): Buffer {
  return (body as Buffer).subarray(GRPC_PREFIX_BYTES);
}

/**
 * Sends one request with a real client, grpc-js or fetch.
 * @param authority of the server's certificate, in PEM
 * @returns the length of the answer's body on the wire
 * @throws unless the answer is right
 */
export async function check(server: Server, load: CheckedLoad, authorityFile?: string): Promise<number> {
  const answer = await (load.http1 ? overHttp1(server, load) : overGrpc(server, load, authorityFile));
  if (!load.isRight(answer)) throw new Error(`a wrong answer of ${load.path}: ${answer.body.toString('hex')}`);
  return answer.body.length + (load.http1 ? 0 : GRPC_PREFIX_BYTES);
}

async function overHttp1(server: Server, { path, body, headers }: Load): Promise<Answer> {
  const response = await fetch(`${server.url}${path}`, {
    method: body ? 'POST' : 'GET',
    headers,
    ...(body && { body: new Uint8Array(body) }),
  });
  if (response.status !== 200) throw new Error(`status ${response.status} of ${path}: ${await response.text()}`);
  return { body: Buffer.from(await response.arrayBuffer()), headers: Object.fromEntries(response.headers) };
}

async function overGrpc(server: Server, load: Load, authorityFile?: string): Promise<Answer> {
  const credentials = authorityFile
    ? grpc.credentials.createSsl(readFileSync(authorityFile))
    : grpc.credentials.createInsecure();
  const client = new grpc.Client(`localhost:${server.port}`, credentials);
  const metadata = new grpc.Metadata();
  for (const [name, value] of Object.entries(load.headers)) if (!(name in GRPC)) metadata.set(name, value);
  const bytes = (value: Buffer) => value;
  try {
    return await new Promise<Answer>((resolve, reject) =>
      client.makeUnaryRequest(load.path, bytes, bytes, messageOf(load), metadata, (error, body) =>
        error || !body ? reject(error) : resolve({ body, headers: {} }),
      ),
    );
  } finally {
    client.close();
  }
}

function grpcLoad<Desc extends DescMessage>(
  path: string,
  schema: Desc,
  input: MessageInitShape<Desc>,
  isRight: CheckedLoad['isRight'],
): CheckedLoad {
  return { path, body: envelope(toBinary(schema, create(schema, input))), headers: GRPC, ...OVER_HTTP2, isRight };
}

function isPrincipal({ body }: Answer): boolean {
  return fromBinary(VerifyResponseSchema, body).principal?.roles.includes(ROLE) === true;
}

/** The headers that Envoy sends with the request of curl. */
function envoyHeaders(bearer: Record<string, string>): Record<string, string> {
  return {
    ':authority': 'shop.example',
    ':method': 'GET',
    ':path': '/orders',
    ':scheme': 'https',
    accept: '*/*',
    'user-agent': 'curl/8',
    'x-forwarded-proto': 'https',
    'x-request-id': 'b3f8d5c2-1111-4222-8333-944445555666',
    ...bearer,
  };
}
