// `kubectl apply -f` takes each file of examples/gateways/istio as it is, and its policy is one that Latchkey accepts.
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parsePolicy } from '../../src/policy/policy-file.ts';
import { istioResources } from '../support/istio.ts';

const APIS: Record<string, string> = {
  EnvoyFilter: 'networking.istio.io/v1alpha3',
  AuthorizationPolicy: 'security.istio.io/v1',
  VirtualService: 'networking.istio.io/v1',
  HTTPRoute: 'gateway.networking.k8s.io/v1',
  ConfigMap: 'v1',
};
const GATEWAYS = ['networking.istio.io/v1', 'gateway.networking.k8s.io/v1'];

// Values of a chart, which kubectl does not take.
const files = readdirSync('examples/gateways/istio').filter((file) => file !== 'mesh-values.yaml');

test.each(files)('%s contains resources alone', (file) => {
  for (const { apiVersion, kind, metadata } of istioResources(file)) {
    if (kind === 'Gateway') expect(GATEWAYS).toContain(apiVersion);
    else expect([kind, apiVersion]).toEqual([kind, APIS[kind]]);
    expect(metadata).toMatchObject({ name: expect.any(String), namespace: expect.any(String) });
  }
});

test('each route that a patch names exists', () => {
  const resources = istioResources('virtual-service.yaml');
  const routes = JSON.stringify(resources.find(({ kind }) => kind === 'VirtualService'));
  const patches = JSON.stringify(resources.find(({ kind }) => kind === 'EnvoyFilter'));
  const named = [...patches.matchAll(/"route":\{"name":"([^"]+)"/g)].map(([, name]) => name);
  expect(named.length).toBe(3);
  for (const name of named) expect(routes).toContain(`"name":"${name}"`);
});

test('the policy for the Gateway API requires what the other configurations require', () => {
  const map = istioResources('gateway-api.yaml').find(({ kind }) => kind === 'ConfigMap') as unknown as {
    data: Record<string, string>;
  };
  const policy = parsePolicy(map.data['policy.yaml'] ?? '');
  expect(policy.requirementFor('shop.example', '/orders')).toMatchObject({ access: 'required', preflight: 'pass' });
  expect(policy.requirementFor('shop.example', '/admin/x')).toMatchObject({ roles: ['admin'], preflight: 'pass' });
  expect(policy.requirementFor('shop.example', '/public/x')).toMatchObject({ access: 'public' });
  expect(policy.requirementFor('shop.example', '/public/../admin')).toMatchObject({ roles: ['admin'] });
});

test('the resources of different files can be applied together', () => {
  const all = files.flatMap(istioResources).map(({ kind, metadata }) => `${kind} ${JSON.stringify(metadata)}`);
  expect(new Set(all).size).toBe(all.length);
  expect(readFileSync('examples/gateways/gateway-api-external-auth.yaml', 'utf8')).toContain('type: ExternalAuth');
});
