// The client address of a call: behind proxies, behind services that call for their users, and with forged headers.
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { readConfig } from '../../src/config/config.ts';
import { createClientAddress } from '../../src/server/transport/client-address.ts';
import { SERVICE_KEY, startTestApp, type TestApp } from '../support/app.ts';
import { auth, type Caller, callers, viaFetch } from '../support/clients.ts';
import { newPerson } from '../support/people.ts';

let behindProxy: TestApp;
let direct: TestApp;
/** Five accounts from one network. */
const LIMIT = { LIMIT_REGISTER_NETWORK: '5/60' };
beforeAll(async () => {
  [behindProxy, direct] = await Promise.all([
    startTestApp({ ...LIMIT, TRUSTED_PROXIES: '127.0.0.0/8, 10.0.0.0/8, ::1, 2001:db8:1::/48' }),
    startTestApp(LIMIT),
  ]);
});
afterAll(() => Promise.all([behindProxy.close(), direct.close()]));

test.each([
  ['no proxy', '203.0.113.9', '', '203.0.113.9'],
  ['one proxy', '10.0.0.1', '203.0.113.9', '203.0.113.9'],
  ['two proxies', '10.0.0.1', '203.0.113.9, 10.0.0.2', '203.0.113.9'],
  ['an entry that the client has forged', '10.0.0.1', '1.2.3.4, 203.0.113.9', '203.0.113.9'],
  ['an untrusted peer', '203.0.113.9', '1.2.3.4', '203.0.113.9'],
  ['a proxy of IPv6', '2001:db8:1::5', '2001:db8:2::7', '2001:db8:2::7'],
  ['IPv4 in IPv6', '::ffff:10.0.0.1', '::ffff:203.0.113.9', '203.0.113.9'],
  ['IPv4 in IPv6, in hex', '::ffff:a00:1', '::FFFF:cb00:7109', '203.0.113.9'],
  ['IPv4 in IPv6, in full', '0:0:0:0:0:ffff:0a00:0001', '0:0:0:0:0:ffff:203.0.113.9', '203.0.113.9'],
  ['a similar IPv6 address', '10.0.0.1', '2001:db8::ffff:cb00:7109', '2001:db8::ffff:cb00:7109'],
  ['a port', '10.0.0.1', '203.0.113.9:4711', '203.0.113.9'],
  ['brackets and a port', '10.0.0.1', '[2001:db8:2::7]:4711', '2001:db8:2::7'],
  ['only trusted addresses', '10.0.0.1', '10.0.0.3, 10.0.0.2', '10.0.0.3'],
  ['an invalid entry', '10.0.0.1', '203.0.113.9, unknown', '10.0.0.1'],
  ['an empty entry', '10.0.0.1', '203.0.113.9, ', '10.0.0.1'],
  ['no peer', '', '203.0.113.9', ''],
])('the client behind %s', (_, peer, forwardedFor, expected) => {
  const { trustedProxies } = readConfig(behindProxy.environment).http;
  expect(createClientAddress(trustedProxies)(peer, forwardedFor)).toBe(expected);
});

test.each(['10.0.0.0/33', '10.0.0.0/x', 'proxy', '10.0.0.0/8/8', '2001:db8::/129', '10.0.0.0/'])(
  '%s is no network',
  (text) => {
    expect(() => readConfig({ ...direct.environment, TRUSTED_PROXIES: text })).toThrow('TRUSTED_PROXIES');
  },
);

/** The number of accounts that are created, each call with its own headers. */
async function opened(
  call: Caller,
  count: number,
  headers: (n: number) => Record<string, string>,
  bearer = '',
): Promise<number> {
  const outcomes = [];
  for (let n = 0; n < count; n += 1) {
    outcomes.push(await call(auth.register, newPerson(), { headers: headers(n), ...(bearer && { bearer }) }));
  }
  return outcomes.filter(({ code }) => code === 'ok').length;
}

describe('limits by network', () => {
  test('count clients, not their proxy', async () => {
    const call = viaFetch(behindProxy.url);
    expect(await opened(call, 12, (n) => ({ 'x-forwarded-for': `203.0.${n}.113` }))).toBe(12);
    expect(await opened(call, 8, (n) => ({ 'x-forwarded-for': `1.2.3.${n}, 198.51.100.7` }))).toBe(5);
  });

  test('ignore the header of a client that is no trusted proxy', async () => {
    expect(
      await opened(viaFetch(direct.url), 8, (n) => ({
        'x-forwarded-for': `203.0.113.${n}`,
        'x-client-address': `203.0.113.${n}`,
      })),
    ).toBe(5);
    // The same with a token that is no service key.
    expect(await opened(viaFetch(direct.url), 1, () => ({ 'x-client-address': '198.51.100.1' }), 'x'.repeat(40))).toBe(
      0,
    );
  });

  test.each(['gRPC of Connect, HTTP/2', 'gRPC-Web, HTTP/1.1', 'Connect, JSON, HTTP/1.1'])(
    'count the users that a service names, over %s',
    async (way) => {
      const own = await startTestApp(LIMIT, { api: true, worker: false });
      onTestFinished(() => own.close());
      const call = callers(own.url)[way] as Caller;
      expect(
        await opened(
          call,
          8,
          (n) => ({ 'x-client-address': `203.0.113.${n}`, 'x-client-user-agent': 'phone' }),
          SERVICE_KEY,
        ),
      ).toBe(8);
      expect(await opened(call, 8, () => ({ 'x-client-address': '2001:db8::1' }), SERVICE_KEY)).toBe(5);
      const bad = await call(auth.register, newPerson(), {
        bearer: SERVICE_KEY,
        headers: { 'x-client-address': 'nowhere' },
      });
      expect(bad).toMatchObject({ reason: 'INVALID_ARGUMENT', fields: ['x-client-address'] });
      const { rows } = await own.owner.query("SELECT payload FROM outbox WHERE payload::text LIKE '%phone%' LIMIT 1");
      expect(JSON.stringify(rows)).toContain('203.0.113.');
    },
  );
});
