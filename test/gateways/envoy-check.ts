// Envoy's ext_authz requests, sent over grpc-js: a client of another project.
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import * as grpc from '@grpc/grpc-js';
import {
  CheckRequestSchema,
  type CheckResponse,
  CheckResponseSchema,
} from '../../gen/envoy/service/auth/v3/external_auth_pb.ts';

export type EnvoyRequest = MessageInitShape<typeof CheckRequestSchema>;
/** @param query `?` sends the request to Connect in place of the fast path */
export type Check = (
  request: EnvoyRequest,
  query?: string,
  metadata?: Record<string, string>,
) => Promise<CheckResponse>;

/** The request of Envoy 1.30 for a GET with these headers. */
export function envoyRequest(
  headers: Record<string, string>,
  contextExtensions: Record<string, string> = {},
): EnvoyRequest {
  const peer = (address: string, port: number) => ({
    address: {
      address: {
        case: 'socketAddress' as const,
        value: { address, portSpecifier: { case: 'portValue' as const, value: port } },
      },
    },
  });
  return {
    attributes: {
      source: peer('203.0.113.9', 51_234),
      destination: peer('10.0.0.7', 8_000),
      request: {
        time: { seconds: 1_790_000_000n, nanos: 5 },
        http: {
          id: '12345678901234567890',
          method: 'GET',
          headers: {
            ':authority': 'shop.example',
            ':method': 'GET',
            ':path': '/orders?x=1',
            ':scheme': 'https',
            accept: '*/*',
            'user-agent': 'curl/8',
            'x-forwarded-proto': 'https',
            'x-request-id': 'b3f8d5c2-1111-4222-8333-944445555666',
            ...headers,
          },
          path: '/orders?x=1',
          host: 'shop.example',
          scheme: 'https',
          protocol: 'HTTP/1.1',
        },
      },
      contextExtensions,
      metadataContext: {},
      routeMetadataContext: {},
    },
  };
}

export function createCheck(url: string): { check: Check; close(): void } {
  const client = new grpc.Client(new URL(url).host, grpc.credentials.createInsecure());
  const check: Check = (request, query = '', metadata = {}) =>
    new Promise((resolve, reject) =>
      client.makeUnaryRequest(
        `/envoy.service.auth.v3.Authorization/Check${query}`,
        (message: EnvoyRequest) => Buffer.from(toBinary(CheckRequestSchema, create(CheckRequestSchema, message))),
        (bytes) => fromBinary(CheckResponseSchema, bytes),
        request,
        grpc.Metadata.fromHttp2Headers(metadata),
        { deadline: Date.now() + 5_000 } as grpc.CallOptions,
        (error, answer) => (error ? reject(error) : resolve(answer as CheckResponse)),
      ),
    );
  return { check, close: () => client.close() };
}

/** The headers that Envoy adds to the request, or that it returns to the client. */
export function headersOf(answer: CheckResponse): Record<string, string> {
  const { case: kind, value } = answer.httpResponse;
  if (kind !== 'okResponse' && kind !== 'deniedResponse') return {};
  return Object.fromEntries(value.headers.map(({ header }) => [header?.key ?? '', header?.value ?? '']));
}

export function httpStatusOf(answer: CheckResponse): number {
  return answer.httpResponse.case === 'deniedResponse' ? Number(answer.httpResponse.value.status?.code) : 200;
}
