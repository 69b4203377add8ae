// Envoy's jwt_authn as a verifier, with the configuration of examples/verify/envoy.
import { readFileSync } from 'node:fs';
import { freePort } from '../../src/dev/free-port.ts';
import { portOf, type Received, startEchoService } from '../support/echo-service.ts';
import { ENVOY_GATEWAY, moved, runConfigured } from '../support/gateway.ts';
import type { Contender } from './contender.ts';
import type { Deployment } from './tokens.ts';

const ENVOY_FILE = 'examples/verify/envoy/envoy.yaml';

export async function startEnvoyVerifier({ issuer }: Deployment): Promise<Contender> {
  const service = await startEchoService();
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/`;
  const example = readFileSync(ENVOY_FILE, 'utf8');
  const text = moved(example, { latchkey: Number(new URL(issuer).port), service: portOf(service) })
    .replace(/issuer: \S+/, `issuer: ${issuer}`)
    .replace('port_value: 8000', `port_value: ${port}`);
  const envoy = await runConfigured(ENVOY_GATEWAY, { text: () => text, probe: async () => void (await fetch(url)) });
  return {
    async ask(token) {
      const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
      const body = await response.text();
      if (!response.ok) return `rejected ${body}`;
      const { headers } = JSON.parse(body) as Received;
      return `ok ${new Map(headers).get('x-user-id')}`;
    },
    async close() {
      await envoy.stop();
      service.close();
    },
  };
}
