// Through every real gateway, on every kind of route: no client can forge an identity header, and no spelling of a path
// avoids the requirement of its route.
import type http from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { testApp } from '../support/app.ts';
import { portOf, type Received, startEchoService } from '../support/echo-service.ts';
import { GATEWAYS, type RunningGateway, startGateway } from '../support/gateway.ts';
import { istioGateway } from '../support/istio.ts';
import { type Answer, type HostileClient, http1Client, http2Client, nghttpClient } from '../support/kept-connection.ts';
import { gatewayCallers, type SignedIn } from '../support/people.ts';
import {
  DISGUISES,
  HOSTILE_PATHS,
  HOSTILE_TARGETS,
  HTTP1_DISGUISES,
  IDENTITY_NAMES,
  SERVED_PATHS,
  spellings,
  TRAILERS,
} from './hostile-requests.ts';
import { isAdmin, isPublic } from './path-readings.ts';

const CONNECTIONS = 3;
const HOST = 'host: shop.example';

const app = await testApp();
let person: SignedIn;
let admin: SignedIn;
let service: http.Server;
beforeAll(async () => {
  ({ person, admin } = await gatewayCallers(app, app.call));
  service = await startEchoService();
});
afterAll(() => {
  service.closeAllConnections();
  service.close();
});

type Route = { path: string; caller: SignedIn | null };
const routes = (): Route[] => [
  { path: '/public/', caller: null },
  { path: '/orders', caller: person },
  { path: '/admin/', caller: admin },
];

const authorization = (caller: SignedIn | null) => (caller ? [`authorization: Bearer ${caller.accessToken}`] : []);

/** The identity headers that reached the service, in any spelling. */
function identityOf({ headers, trailers }: Received): string[] {
  return [...headers, ...trailers]
    .filter(([name, value]) => IDENTITY_NAMES.includes(name.toLowerCase().replace(/[^a-z0-9]/g, '-')) && value !== '')
    .map(([name, value]) => `${name.toLowerCase()}: ${value}`)
    .toSorted();
}

function identityOfLatchkey(caller: SignedIn | null): RegExp {
  if (!caller) return /^$/;
  const roles = caller === admin ? '(admin,user|user,admin)' : 'user';
  const lines = [
    'x-auth-acr: pwd',
    'x-auth-email-verified: false',
    'x-auth-email: \\S+@people.example',
    `x-auth-roles: ${roles}`,
    'x-auth-session-id: [0-9a-f-]{36}',
    'x-auth-time: [0-9]{10}',
    `x-auth-user-id: ${caller.userId}`,
  ];
  return new RegExp(`^${lines.join('\n')}$`);
}

const received = ({ body }: Answer) => JSON.parse(body) as Received;

/** 101: Caddy itself continues in HTTP/2. 0: the connection or the stream was closed. */
const isRejected = ({ status }: Answer) => status === 0 || status === 101 || (status >= 300 && status < 500);

/** Empty when the service received the identity of Latchkey alone, or the gateway rejected the request. */
function problemOfIdentity(answer: Answer, caller: SignedIn | null): string {
  if (isRejected(answer)) return '';
  if (answer.status !== 200) return `status ${answer.status}`;
  const identity = identityOf(received(answer)).join('\n');
  return identityOfLatchkey(caller).test(identity) ? '' : identity || 'no identity';
}

const withoutTokens = (key: string, value: unknown) =>
  key === 'caller' ? { person: value === person, admin: value === admin } : value;

/** Runs the requests over a few connections. @returns the problems with their requests */
async function problemsOf<T>(
  open: () => HostileClient,
  requests: T[],
  check: (client: HostileClient, request: T) => Promise<string>,
): Promise<string[]> {
  const problems: string[] = [];
  const waiting = [...requests];
  const worker = async () => {
    const client = open();
    for (let request = waiting.shift(); request !== undefined; request = waiting.shift()) {
      const problem = await check(client, request);
      if (problem) problems.push(`${JSON.stringify(request, withoutTokens)}: ${problem}`);
    }
    client.close();
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
  return problems;
}

const ISTIO = [
  istioGateway('Istio', ['identity-headers.yaml', 'virtual-service.yaml'], 'extension provider'),
  istioGateway(
    'Istio with an EnvoyFilter',
    ['envoy-filter.yaml', 'identity-headers.yaml', 'virtual-service.yaml'],
    'EnvoyFilter',
  ),
];

describe.each([...GATEWAYS, ...ISTIO])('$name', (gateway) => {
  let running: RunningGateway;
  beforeAll(async () => {
    running = await startGateway(gateway, { latchkey: app.port, service: portOf(service) });
  });
  afterAll(() => running.stop());

  const protocols: [string, () => HostileClient][] = [
    ['HTTP/1.1', () => http1Client(running.port)],
    ['HTTP/2', () => http2Client(running.http2Url)],
  ];

  test.each(protocols)('removes identity headers of clients in every spelling, over %s', async (protocol, open) => {
    const lines = [
      ...spellings().map((name) => [`${name}: root`]),
      ...DISGUISES,
      ...(protocol === 'HTTP/1.1' ? HTTP1_DISGUISES : []),
    ];
    const requests = routes().flatMap((route) => lines.map((sent) => ({ ...route, sent })));
    const problems = await problemsOf(open, requests, async (client, { path, caller, sent }) =>
      problemOfIdentity(await client.send('GET', path, [HOST, ...authorization(caller), ...sent]), caller),
    );
    expect(problems).toEqual([]);
    const plain = IDENTITY_NAMES.map((name) => `${name}: root`);
    const client = open();
    for (const { path, caller } of routes()) {
      const answer = await client.send('GET', path, [HOST, ...authorization(caller), ...plain]);
      expect([path, answer.status, problemOfIdentity(answer, caller)]).toEqual([path, 200, '']);
    }
    client.close();
  });

  test('removes identity headers from trailers', async () => {
    const requests = routes().flatMap((route) => TRAILERS.map((trailer) => ({ ...route, trailer })));
    const problems = await problemsOf(protocols[0]?.[1] as () => HostileClient, requests, async (client, request) => {
      const { path, caller, trailer } = request;
      const announced = `trailer: ${trailer.split(':', 1)[0]}`;
      const lines = [HOST, ...authorization(caller), 'transfer-encoding: chunked', announced];
      const answer = await client.send('POST', path, lines, `1\r\nx\r\n0\r\n${trailer}\r\n\r\n`);
      if (answer.status === 200 && received(answer).bytes !== 1) return 'no body';
      return problemOfIdentity(answer, caller);
    });
    expect(problems).toEqual([]);
  });

  const clients: typeof protocols = [
    protocols[0] as (typeof protocols)[0],
    ['HTTP/2', () => nghttpClient(running.http2Url)],
  ];
  test.each(clients)('forwards only the credentials that it has checked, over %s', async (protocol, open) => {
    const mine = `Bearer ${person.accessToken}`;
    const empty = protocol === 'HTTP/1.1' ? [''] : [];
    const others = [`Bearer ${admin.accessToken}`, 'Bearer x', 'Basic eDp5', mine, ...empty];
    const pairs = others.flatMap((other) => [
      [mine, other],
      [other, mine],
    ]);
    const problems = await problemsOf(open, pairs, async (client, pair) => {
      const answer = await client.send('GET', '/orders', [HOST, ...pair.map((value) => `authorization: ${value}`)]);
      if (isRejected(answer)) return '';
      if (answer.status !== 200) return `status ${answer.status}`;
      const sent = received(answer).headers.filter(([name]) => name.toLowerCase() === 'authorization');
      const caller = sent[0]?.[1] === mine ? person : admin;
      return sent.length === 1 ? problemOfIdentity(answer, caller) : JSON.stringify(sent);
    });
    expect(problems).toEqual([]);
  });

  test.each(protocols)(
    'lets no spelling of a path avoid the requirement of its route, over %s',
    async (protocol, open) => {
      const targets = [...HOSTILE_PATHS, ...(protocol === 'HTTP/1.1' ? HOSTILE_TARGETS : [])];
      const requests = targets.flatMap((path) => [null, person, admin].map((caller) => ({ path, caller })));
      const problems = await problemsOf(open, requests, async (client, { path, caller }) => {
        const answer = await client.send('GET', path, [HOST, 'x-hidden: ?', ...authorization(caller)]);
        if (isRejected(answer)) return '';
        if (answer.status !== 200) return `status ${answer.status}`;
        if (caller === admin) return '';
        const served = received(answer).path;
        if (isAdmin(served)) return `served ${served}`;
        return caller || isPublic(served) ? '' : `served ${served} without a token`;
      });
      expect(problems).toEqual([]);
      const served = [...SERVED_PATHS.public, ...SERVED_PATHS.queries];
      expect(
        await problemsOf(open, served, async (client, path) => {
          const answer = await client.send('GET', path, [HOST]);
          return answer.status === 200 && received(answer).path === path
            ? ''
            : `status ${answer.status} ${answer.body}`;
        }),
      ).toEqual([]);
    },
  );
});
