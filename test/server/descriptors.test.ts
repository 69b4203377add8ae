// With GRPC_REFLECTION=off services and administrators can still use reflection, and download the descriptor set.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { createFileRegistry, fromBinary, toJson } from '@bufbuild/protobuf';
import { anyUnpack, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { Client, credentials, type Metadata, type ServiceError } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import { StatusSchema } from '../../gen/google/rpc/status_pb.ts';
import { ServerReflection } from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import { AdminService } from '../../gen/latchkey/auth/v1/admin_service_pb.ts';
import { AuthService } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { reasonOf } from '../../src/client/reason-of.ts';
import { DESCRIPTOR_SET } from '../../src/dev/descriptor-set.ts';
import { SERVICE_KEY, testApp } from '../support/app.ts';
import { viaFetch } from '../support/clients.ts';
import { bearer, serviceAccount, signedInWith } from '../support/people.ts';
import { rawConnection } from '../support/raw.ts';

const run = promisify(execFile);
const app = await testApp({ GRPC_REFLECTION: 'off' }, { api: true, worker: false });
const call = viaFetch(app.url);
const user = await signedInWith(app, call, []);
const admin = await signedInWith(app, call, ['admin']);
const apiKey = await serviceAccount(app, 'descriptors', []);
const content = readFileSync(DESCRIPTOR_SET);

const ALLOWED = [
  ['a service key', SERVICE_KEY],
  ['the API key of a service account', apiKey],
  ['the token of an administrator', admin.accessToken],
] as const;
const REJECTED = [
  ['no credentials', '', 401, 'CREDENTIALS_MISSING'],
  ['an invalid token', 'x.y.z', 401, 'TOKEN_INVALID'],
  ['the token of a user', user.accessToken, 403, 'PERMISSION_DENIED'],
] as const;

function download(token: string, init: RequestInit = {}): Promise<Response> {
  return fetch(`${app.url}/descriptors`, { headers: token ? { authorization: `Bearer ${token}` } : {}, ...init });
}

const reflection = createClient(ServerReflection, createGrpcTransport({ baseUrl: app.url }));

async function reflect(token: string): Promise<string[]> {
  async function* questions() {
    yield { messageRequest: { case: 'listServices' as const, value: '*' } };
  }
  const headers = token ? bearer(token) : undefined;
  for await (const { messageResponse } of reflection.serverReflectionInfo(questions(), { headers })) {
    if (messageResponse.case === 'listServicesResponse') return messageResponse.value.service.map(({ name }) => name);
  }
  throw new Error('the stream ended');
}

describe('GET /descriptors', () => {
  test.each(ALLOWED)('returns the descriptor set for %s', async (_, token) => {
    const response = await download(token);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('application/protobuf');
    expect(Buffer.from(await response.arrayBuffer()).equals(content)).toBe(true);
  });

  test.each(REJECTED)('rejects %s', async (_, token, status, reason) => {
    const response = await download(token);
    expect(response.status).toBe(status);
    expect(response.headers.get('www-authenticate')).toBe(status === 401 ? 'Bearer realm="latchkey"' : null);
    expect(await response.json()).toMatchObject({ reason, message: expect.any(String) });
  });

  test('answers HEAD without a body, and no other method', async () => {
    const head = await download(SERVICE_KEY, { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length')]).toEqual([200, String(content.length)]);
    const post = await download(SERVICE_KEY, { method: 'POST', body: 'x' });
    expect([post.status, post.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  });

  test('rejects two credentials', async () => {
    const credential = `authorization: Bearer ${SERVICE_KEY}\r\n`;
    const { received, closed } = rawConnection(
      Number(new URL(app.url).port),
      `GET /descriptors HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${credential}${credential}\r\n`,
    );
    await closed;
    expect(received()).toContain('CREDENTIALS_AMBIGUOUS');
  });

  test('serves many callers at once', async () => {
    const responses = await Promise.all(Array.from({ length: 50 }, () => download(SERVICE_KEY)));
    for (const response of responses) expect((await response.arrayBuffer()).byteLength).toBe(content.length);
  });
});

describe('reflection', () => {
  test.each(ALLOWED)('is open to %s', async (_, token) => {
    expect(await reflect(token)).toContain('latchkey.auth.v1.AdminService');
  });

  test.each(REJECTED)('rejects %s', async (_, token, status, reason) => {
    const error = await reflect(token).catch((thrown: unknown) => ConnectError.from(thrown));
    expect(error).toMatchObject({ code: status === 401 ? Code.Unauthenticated : Code.PermissionDenied });
    expect(reasonOf(error)).toBe(reason);
  });

  test('works with buf curl and the key of a service', async () => {
    const header = ['--reflect-header', `authorization: Bearer ${SERVICE_KEY}`];
    const args = ['curl', '--http2-prior-knowledge', ...header, '--list-methods', app.url];
    expect((await run('node_modules/.bin/buf', args)).stdout).toContain('latchkey.auth.v1.AdminService/SearchUsers');
  });
});

describe('the descriptor set', () => {
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, content));

  test('has every service and all that it imports', () => {
    for (const { typeName, methods } of [AuthService, AdminService]) {
      expect(registry.getService(typeName)?.methods).toHaveLength(methods.length);
    }
    for (const name of ['grpc.health.v1.Health', 'envoy.service.auth.v3.Authorization']) {
      expect(registry.getService(name)).toBeDefined();
    }
  });

  test('decodes the details of an error', async () => {
    const client = new Client(new URL(app.url).host, credentials.createInsecure());
    const error = await new Promise<ServiceError | null>((resolve) => {
      const path = '/latchkey.auth.v1.AuthService/Verify';
      const asIs = (bytes: Buffer) => bytes;
      client.makeUnaryRequest(path, asIs, asIs, Buffer.alloc(0), resolve);
    });
    client.close();
    const [detail] = detailsOf(error?.metadata);
    const message = detail && anyUnpack(detail, registry);
    const schema = message && registry.getMessage(message.$typeName);
    expect(schema?.typeName).toBe('google.rpc.ErrorInfo');
    expect(schema && toJson(schema, message)).toMatchObject({ reason: expect.stringMatching(/^[A-Z_]+$/) });
  });
});

function detailsOf(metadata: Metadata | undefined) {
  const [bytes] = metadata?.get('grpc-status-details-bin') ?? [];
  return fromBinary(StatusSchema, bytes as Buffer).details;
}
