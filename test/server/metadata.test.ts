// The JWKS and the metadata of the issuer, read with real OAuth clients.
import { createRemoteJWKSet, jwtVerify } from 'jose';
import * as openid from 'openid-client';
import { beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../../src/dev/free-port.ts';
import { testApp } from '../support/app.ts';
import { signedIn } from '../support/people.ts';

const port = await freePort();
const issuer = `http://127.0.0.1:${port}/auth/tokens`;
const app = await testApp({ PORT: String(port), ISSUER: `${issuer}/`, AUDIENCE: 'shop' });
const documentAt = async (path: string) => {
  const response = await fetch(`${app.url}${path}`);
  return { status: response.status, cache: response.headers.get('cache-control'), body: await response.json() };
};

describe('the metadata of an issuer with a path', () => {
  const expected = {
    issuer,
    jwks_uri: `${issuer}/.well-known/jwks.json`,
    token_endpoint: `${issuer}/oauth/token`,
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    introspection_endpoint: `${issuer}/oauth/introspect`,
    introspection_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'Bearer'],
    revocation_endpoint: `${issuer}/oauth/revoke`,
    revocation_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    grant_types_supported: ['client_credentials'],
    response_types_supported: [],
    acr_values_supported: ['pwd', 'mfa', 'phr'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256', 'EdDSA', 'RS256'],
  };

  test.each([
    ['OpenID Connect, behind a proxy that removes the path', '/.well-known/openid-configuration'],
    ['OpenID Connect', '/auth/tokens/.well-known/openid-configuration'],
    ['Spring Security, first attempt', '/.well-known/openid-configuration/auth/tokens'],
    ['RFC 8414, behind a proxy that removes the path', '/.well-known/oauth-authorization-server'],
    ['RFC 8414', '/.well-known/oauth-authorization-server/auth/tokens'],
    ['the path first', '/auth/tokens/.well-known/oauth-authorization-server'],
  ])('is the same for %s', async (_, path) => {
    expect(await documentAt(path)).toEqual({ status: 200, cache: 'public, max-age=300', body: expected });
  });

  test.each([
    '/auth/.well-known/openid-configuration',
    '/.well-known/openid-configuration/',
    '/.well-known/openid-configuration/other',
    '/auth/tokens/auth/tokens/.well-known/openid-configuration',
    '/auth/tokens/healthz',
  ])('is not at %s', async (path) => {
    expect((await fetch(`${app.url}${path}`)).status).toBe(404);
  });

  test('is read by GET and HEAD alone', async () => {
    const url = `${app.url}/.well-known/openid-configuration`;
    const head = await fetch(url, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
      const response = await fetch(url, { method });
      expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    }
  });

  test.each(['oidc', 'oauth2'] as const)('lets openid-client find the keys, by the algorithm %s', async (algorithm) => {
    const options = { algorithm, execute: [openid.allowInsecureRequests] };
    const client = await openid.discovery(new URL(issuer), 'reports', 'secret', undefined, options);
    const { jwks_uri: jwksUri = '' } = client.serverMetadata();
    const { accessToken } = await signedIn(app.call);
    const verified = await jwtVerify(accessToken, createRemoteJWKSet(new URL(jwksUri)), {
      issuer,
      audience: 'shop',
      typ: 'at+jwt',
    });
    expect(verified.protectedHeader.alg).toBe('ES256');
  });
});

describe('the JWKS', () => {
  let all: { alg: string }[];
  beforeAll(async () => {
    ({ keys: all } = (await documentAt('/.well-known/jwks.json')).body as { keys: { alg: string }[] });
  });

  test('has the keys of the requested algorithms', async () => {
    expect(all.map(({ alg }) => alg)).toEqual(['ES256', 'ES256']);
    for (const [query, keys] of [
      ['?alg=ES256', all],
      ['?alg=EdDSA&alg=ES256', all],
      ['?other=RS256', all],
      ['?', all],
      ['?alg=EdDSA', []],
      ['?alg=Ed25519', []],
      ['?alg=RS256', []],
    ] as const) {
      expect(await documentAt(`/.well-known/jwks.json${query}`)).toMatchObject({ status: 200, body: { keys } });
    }
  });

  test.each(['?alg=', '?alg=HS256', '?alg=none', '?alg=es256', '?alg=ES256&alg=x', '?alg=%00', '?alg=toString'])(
    'rejects a request for an unknown algorithm: %s',
    async (query) => {
      expect(await documentAt(`/.well-known/jwks.json${query}`)).toEqual({
        status: 400,
        cache: 'no-store',
        body: { error: 'alg must be one of ES256, EdDSA, RS256' },
      });
    },
  );
});
