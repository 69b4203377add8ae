// Revocations that arrive late, clocks that are wrong, certificates that expire.
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import https from 'node:https';
import { join } from 'node:path';
import { expect } from 'vitest';
import { createPooler, type Pooler } from '../../chaos/pooler.ts';
import { through } from '../../support/cable.ts';
import { type Certificates, openCertificates, type Pair } from '../../support/certificates.ts';
import { whyNoFaketime, withClock } from '../../support/faketime.ts';
import type { Incident, Incidents } from '../incident.ts';
import type { Scene } from '../scene.ts';

function freeze({ cables: { postgres, listener } }: Scene, isFrozen: boolean): void {
  for (const cable of [postgres, listener]) {
    cable.mode = isFrozen ? 'silent' : 'open';
    if (!isFrozen) cable.cutAll();
  }
}

const BILLING = 'spiffe://example.org/billing';
const GATEWAY = 'spiffe://example.org/gateway';

let pooler: Pooler;
let certificates: Certificates;
let billing: Pair;

const frozen: Incident = {
  async make(scene) {
    freeze(scene, true);
    return {};
  },
  beforeDo: async (scene) => freeze(scene, false),
  cleanUp: async (scene) => freeze(scene, false),
};

export const TIME_INCIDENTS: Incidents = {
  'Revocations late': frozen,
  'Postgres down': frozen,

  'Notices do not arrive': {
    async settings(scene) {
      const url = new URL(scene.environment.DATABASE_LISTEN_URL as string);
      const port = Number(url.port);
      pooler = await createPooler(join(scene.folder, 'pooler'), url.username, url.password, port);
      await pooler.start();
      return { DATABASE_LISTEN_URL: through(url.href, pooler.port) };
    },
    async make() {
      return {};
    },
    async beforeDo(scene) {
      const url = scene.environment.DATABASE_LISTEN_URL as string;
      await scene.deploy({ DATABASE_LISTEN_URL: through(url, scene.cables.listener.port) });
    },
    cleanUp: () => pooler.kill(),
  },

  'Clock differs': {
    whyNot: whyNoFaketime,
    async make(scene) {
      await scene.stop('serve');
      await scene.start('serve', await withClock({ FAKETIME: '+20s' }));
      return {};
    },
    async beforeDo(scene) {
      await scene.stop('serve');
      await scene.start('serve');
    },
  },

  'The clock of a verifier is wrong': {
    whyNot: whyNoFaketime,
    async make(scene) {
      const clock = await withClock({ FAKETIME: '-300s' });
      await scene.shell.type(
        Object.entries(clock)
          .map(([key, value]) => `export ${key}='${value}'`)
          .join('\n'),
      );
      return { difference: '-300' };
    },
    beforeDo: async (scene) => void (await scene.shell.type('unset LD_PRELOAD FAKETIME FAKETIME_DONT_FAKE_MONOTONIC')),
    cleanUp: async (scene) => void (await scene.shell.type('unset LD_PRELOAD FAKETIME FAKETIME_DONT_FAKE_MONOTONIC')),
  },

  'The certificate runs out': {
    async settings(scene) {
      certificates = await openCertificates();
      const { certFile, keyFile } = certificates.make('localhost', 'DNS:localhost');
      const folder = join(scene.folder, 'tls');
      mkdirSync(folder);
      copyFileSync(certFile, join(folder, 'tls.crt'));
      copyFileSync(keyFile, join(folder, 'tls.key'));
      return { TLS_CERT_FILE: join(folder, 'tls.crt'), TLS_KEY_FILE: join(folder, 'tls.key') };
    },
    async make() {
      return {};
    },
    async beforeDo(scene) {
      const { certFile, keyFile } = certificates.make('renewed', 'DNS:localhost', null, 90);
      copyFileSync(keyFile, scene.environment.TLS_KEY_FILE as string);
      copyFileSync(certFile, scene.environment.TLS_CERT_FILE as string);
    },
    cleanUp: async () => certificates.remove(),
  },

  'A client certificate is not listed': {
    async settings() {
      certificates = await openCertificates();
      const { certFile, keyFile } = certificates.make('localhost', 'DNS:localhost');
      const authority = certificates.make('authority', 'DNS:authority.example');
      billing = certificates.make('billing', `URI:${BILLING}`, authority);
      return {
        ...{ TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile },
        ...{ TLS_CLIENT_CA_FILE: authority.certFile, TLS_CLIENT_SERVICES: GATEWAY },
      };
    },
    async make(scene) {
      expect(await statusAsBilling(scene)).toBe(401);
      return { name: BILLING };
    },
    beforeDo: (scene) => scene.deploy({ TLS_CLIENT_SERVICES: `${GATEWAY},${BILLING}` }),
    async proof(scene) {
      expect(await statusAsBilling(scene)).toBe(200);
    },
    cleanUp: async () => certificates.remove(),
  },
};

/** Calls a method of services with the certificate alone. */
function statusAsBilling({ environment, ports }: Scene): Promise<number> {
  const ca = readFileSync(environment.TLS_CERT_FILE as string);
  return new Promise((resolve, reject) => {
    const request = https.request({
      ...{ host: '127.0.0.1', port: ports.api, servername: 'localhost', ca, cert: billing.cert, key: billing.key },
      ...{ method: 'POST', path: '/latchkey.auth.v1.VerifierService/BatchVerify', agent: false },
      headers: { 'content-type': 'application/json' },
    });
    request.once('error', reject).once('response', (response) => resolve(response.resume().statusCode ?? 0));
    request.end('{"accessTokens":["x"]}');
  });
}
