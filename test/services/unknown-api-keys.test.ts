// Unknown API keys against the running service: the limit counts the client's network, at every endpoint.
import { beforeAll, expect, test } from 'vitest';
import { newApiKey } from '../../src/domain/api-key.ts';
import { testApp } from '../support/app.ts';
import { admin, auth, verifierService } from '../support/clients.ts';
import { registered, signedInWith } from '../support/people.ts';

const app = await testApp({ TRUSTED_PROXIES: '127.0.0.1' });
const { call } = app;
let key: string;
let userId: string;
beforeAll(async () => {
  const { accessToken: bearer } = await signedInWith(app, call, ['admin']);
  const reason = 'a test';
  const account = await call(admin.createServiceAccount, { name: 'robot', reason }, { bearer });
  const { serviceAccountId } = account.body;
  await call(admin.grantRole, { serviceAccountId, role: 'latchkey.roles.read', reason }, { bearer });
  key = (await call(admin.createApiKey, { serviceAccountId, name: 'a key', reason }, { bearer })).body.apiKey;
  userId = (await registered(call)).userId;
});

const from = (address: string) => ({ 'x-forwarded-for': address });

/** The endpoints for a key; each returns a word for its outcome. */
const ENDPOINTS: Record<string, (key: string, headers: Record<string, string>) => Promise<string>> = {
  IssueServiceToken: async (bearer, headers) => (await call(auth.issueServiceToken, {}, { bearer, headers })).code,
  BatchVerify: async (bearer, headers) =>
    (await call(verifierService.batchVerify, { accessTokens: ['x'] }, { bearer, headers })).code,
  'CheckRole by user id': async (bearer, headers) =>
    (await call(auth.checkRole, { userId, role: 'user' }, { bearer, headers })).code,
  '/oauth/token': async (secret, headers) => {
    const form = { grant_type: 'client_credentials', client_id: 'robot', client_secret: secret };
    const body = new URLSearchParams(form);
    const { status } = await fetch(`${app.url}/oauth/token`, { method: 'POST', headers, body });
    return status === 200 ? 'ok' : 'unauthenticated';
  },
};

let networks = 0;

test.each(Object.entries(ENDPOINTS))(
  'a second unknown key in the same second waits for the next one at %s',
  async (_, send) => {
    networks += 1;
    const [address, neighbour, elsewhere] = [`192.0.${networks}.1`, `192.0.${networks}.2`, `198.51.${networks}.1`];
    const durationOf = async (text: string, where: string, expected: string) => {
      const began = performance.now();
      expect(await send(text, from(where))).toBe(expected);
      return performance.now() - began;
    };
    const began = performance.now();
    await durationOf(newApiKey(), address, 'unauthenticated');
    await durationOf(newApiKey(), neighbour, 'unauthenticated');
    expect(performance.now() - began).toBeGreaterThan(990);
    expect(await durationOf(newApiKey(), elsewhere, 'unauthenticated')).toBeLessThan(900);
    // The network's second is used up, and the key is valid nevertheless.
    expect(await durationOf(key, address, 'ok')).toBeLessThan(2_000);
  },
);
