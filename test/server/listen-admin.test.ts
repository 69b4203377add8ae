// LISTEN_ADMIN moves what operators and gateways call to a port of its own.
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { describe, expect, test } from 'vitest';
import { Health, HealthCheckResponse_ServingStatus as Status } from '../../gen/health/v1/health_pb.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { createCheck, envoyRequest } from '../gateways/envoy-check.ts';
import { SERVICE_KEY, testApp } from '../support/app.ts';
import { admin, auth, type Caller, callers, verifierService } from '../support/clients.ts';
import { bearer, signedIn } from '../support/people.ts';

const app = await testApp({ LISTEN_ADMIN: `127.0.0.1:${await freePort()}` });
const adminUrl = `http://127.0.0.1:${app.adminPort}`;
const person = await signedIn(app.call);

const verify = (call: Caller) => call(auth.verify, { accessToken: person.accessToken });
const batch = (call: Caller) =>
  call(verifierService.batchVerify, { accessTokens: [person.accessToken] }, { bearer: SERVICE_KEY });
const listRoles = (call: Caller) => call(admin.listRoles, {}, { bearer: SERVICE_KEY });

describe.each(Object.keys(callers(app.url)))('over %s', (name) => {
  const onPublic = callers(app.url)[name] as Caller;
  const onAdmin = callers(adminUrl)[name] as Caller;

  test('the public port serves users and rejects administration and services', async () => {
    expect(await verify(onPublic)).toMatchObject({ code: 'ok' });
    // Plain HTTP has no code for it: the answer is 404.
    const code = name === 'plain JSON by fetch' ? 'unknown' : 'unimplemented';
    expect(await batch(onPublic)).toMatchObject({ code });
    expect(await listRoles(onPublic)).toMatchObject({ code });
  });

  test('the port of administration serves everything', async () => {
    expect(await verify(onAdmin)).toMatchObject({ code: 'ok' });
    expect(await batch(onAdmin)).toMatchObject({ code: 'ok' });
    expect(await listRoles(onAdmin)).toMatchObject({ reason: 'PERMISSION_DENIED' });
  });
});

test('gateways use the port of administration', async () => {
  const request = envoyRequest(bearer(person.accessToken));
  const [onPublic, onAdmin] = [createCheck(app.url), createCheck(adminUrl)];
  await expect(onPublic.check(request)).rejects.toMatchObject({ code: 12 });
  await expect(onPublic.check(request, '?')).rejects.toMatchObject({ code: 12 });
  expect((await onAdmin.check(request)).status?.code).toBe(0);
  onPublic.close();
  onAdmin.close();
});

test('both ports answer health checks, probes and the key set', async () => {
  for (const url of [app.url, adminUrl]) {
    const { status } = await createClient(Health, createGrpcTransport({ baseUrl: url })).check({});
    expect(status).toBe(Status.SERVING);
    for (const path of ['/readyz', '/.well-known/jwks.json']) expect((await fetch(url + path)).status).toBe(200);
    const forwardAuth = await fetch(`${url}/forward-auth`, { headers: bearer(person.accessToken) });
    expect(forwardAuth.status).toBe(200);
  }
});

test('reflection and the descriptor set are on the port of administration only', async () => {
  const reflect = (url: string) =>
    fetch(`${url}/grpc.reflection.v1.ServerReflection/ServerReflectionInfo`, {
      method: 'POST',
      headers: { 'content-type': 'application/grpc-web+proto' },
      body: new Uint8Array(5),
    });
  expect((await reflect(app.url)).headers.get('grpc-status')).toBe('12');
  expect((await reflect(adminUrl)).headers.get('grpc-status')).not.toBe('12');
  expect((await fetch(`${app.url}/descriptors`)).status).toBe(404);
  expect((await fetch(`${adminUrl}/descriptors`)).status).toBe(401);
});
