// A thief uses each secret, and loses it with the commands of the page.
import { randomBytes } from 'node:crypto';
import { expect } from 'vitest';
import { serviceKeyFingerprint } from '../../../src/keys/service-keys.ts';
import { SERVICE_KEY } from '../../support/app.ts';
import { account, admin, auth, verifierService } from '../../support/clients.ts';
import { eventually } from '../../support/eventually.ts';
import { browse, CLIENT, type OpenIdServer, startOpenIdServer } from '../../support/openid-provider.ts';
import { reauthenticated, refreshed, registered, type SignedIn, signedIn } from '../../support/people.ts';
import type { Incidents } from '../incident.ts';
import type { Scene } from '../scene.ts';

const ticket = 'SEC-1';
const SMTP_LOGIN = 'mailer:stolen-password@';

let victim: SignedIn;

async function administrator(scene: Scene): Promise<SignedIn> {
  const person = await signedIn(scene.call);
  await scene.shell.type(`latchkey users grant ${person.email} admin --reason 'on duty'`);
  return reauthenticated(scene.call, await refreshed(scene.call, person));
}

async function kidOf(scene: Scene): Promise<string> {
  const { rows } = await scene.owner.query("SELECT kid FROM signing_keys WHERE state = 'active'");
  return rows[0].kid;
}

const REDIRECT = 'https://product.example/callback/acme';
const NEW_SECRET = 'another secret of forty characters, at least';
let provider: OpenIdServer;

async function signInAtProvider(scene: Scene) {
  provider.account = { sub: 'ada', email: 'ada@acme.example', email_verified: true, name: 'Ada Lovelace' };
  const { body } = await scene.call(auth.startOAuth, { provider: 'acme', redirectUri: REDIRECT });
  const query = await browse(body.authorizationUrl, REDIRECT);
  return scene.call(auth.finishOAuth, {
    ...{ redirectUri: REDIRECT, binding: body.binding, state: body.state },
    ...{ code: query.get('code') ?? '', issuer: query.get('iss') ?? '' },
  });
}

const verify = (scene: Scene, { accessToken }: SignedIn) => scene.call(auth.verify, { accessToken });
const STOLEN_KEY = `stolen-${SERVICE_KEY}`;
const NEW_KEY = `another-${SERVICE_KEY}`;
const serviceKeys = (...keys: string[]) => ({
  SERVICE_KEYS: [`gateway=${SERVICE_KEY}`, ...keys.map((key) => `orders=${key}`)].join(),
});

const batch = (scene: Scene, bearer: string) =>
  scene.call(verifierService.batchVerify, { accessTokens: ['x'] }, { bearer });

export const STOLEN_INCIDENTS: Incidents = {
  'A stolen signing key': {
    async make(scene) {
      victim = await signedIn(scene.call);
      expect((await verify(scene, victim)).code).toBe('ok');
      return { kid: await kidOf(scene), ticket };
    },
    async afterDo(scene) {
      await eventually(
        async () => (await scene.call(account.getMe, {}, { bearer: victim.accessToken })).reason === 'TOKEN_INVALID',
      );
    },
    async proof(scene) {
      victim = await refreshed(scene.call, victim);
      expect((await verify(scene, victim)).code).toBe('ok');
    },
  },

  'A stolen master key': {
    async make(scene) {
      victim = await signedIn(scene.call);
      return { kid: await kidOf(scene), ticket };
    },
    async beforeDo(scene) {
      const stolen = scene.environment.MASTER_KEY as string;
      await scene.deploy({ MASTER_KEY: randomBytes(32).toString('base64'), MASTER_KEY_ACCEPTED: stolen });
    },
    before: { 'latchkey keys retire': (scene) => scene.deploy({ MASTER_KEY_ACCEPTED: undefined }) },
    async proof(scene) {
      const { refreshToken } = victim;
      expect((await scene.call(auth.refresh, { refreshToken })).reason).toBe('REFRESH_TOKEN_INVALID');
      expect((await verify(scene, await signedIn(scene.call, victim))).code).toBe('ok');
    },
  },

  'A stolen service key': {
    settings: serviceKeys(STOLEN_KEY),
    async make(scene) {
      expect((await batch(scene, STOLEN_KEY)).code).toBe('ok');
      await scene.call(admin.listRoles, {}, { bearer: STOLEN_KEY });
      return {
        ...{ service: 'orders', 'stolen key': STOLEN_KEY, fingerprint: serviceKeyFingerprint(STOLEN_KEY) },
        'new fingerprint': serviceKeyFingerprint(NEW_KEY),
      };
    },
    before: {
      'latchkey config check': async (scene) => {
        await scene.deploy(serviceKeys(STOLEN_KEY, NEW_KEY));
        for (const key of [STOLEN_KEY, NEW_KEY]) expect((await batch(scene, key)).code).toBe('ok');
      },
    },
    afterDo: (scene) => scene.deploy(serviceKeys(NEW_KEY)),
    async proof(scene) {
      expect((await batch(scene, NEW_KEY)).code).toBe('ok');
    },
  },

  'A stolen API key': {
    async make(scene) {
      await scene.shell.type("latchkey services create billing --reason 'new service'");
      const { output } = await scene.shell.type(
        "latchkey services create-key billing --name first --json --reason 'first key'",
      );
      const { id, key } = JSON.parse(output);
      expect((await scene.call(auth.issueServiceToken, {}, { bearer: key })).code).toBe('ok');
      return { service: 'billing', key: id, 'stolen key': key, ticket };
    },
  },

  'Stolen refresh tokens of one user': {
    async make(scene) {
      victim = await signedIn(scene.call);
      return { user: victim.userId, email: victim.email, ticket };
    },
    async proof(scene) {
      await eventually(async () => (await verify(scene, victim)).reason === 'TOKEN_REVOKED');
      const { refreshToken } = victim;
      expect((await scene.call(auth.refresh, { refreshToken })).reason).toBe('SESSION_ENDED');
    },
  },

  'A stolen password of an administrator': {
    async make(scene) {
      victim = await administrator(scene);
      const thief = await registered(scene.call);
      const grant = { userId: thief.userId, role: 'admin', reason: 'helps me' };
      expect((await scene.call(admin.grantRole, grant, { bearer: victim.accessToken })).code).toBe('ok');
      return { user: victim.userId, email: victim.email, accomplice: thief.userId, ticket };
    },
    async proof(scene) {
      const { email, password } = victim;
      expect((await scene.call(auth.login, { email, password })).reason).toBe('CREDENTIALS_INVALID');
    },
  },

  'A stolen login of the database': {
    async make(scene) {
      const thief = await registered(scene.call);
      await scene.owner.query("INSERT INTO user_roles VALUES ($1, 'admin', now())", [thief.userId]);
      const login = new URL(scene.environment.DATABASE_URL as string).username;
      return { accomplice: thief.userId, login, 'new password': 'changed', ticket };
    },
    before: {
      'latchkey users revoke': async (scene) => {
        const changed = (key: string) =>
          Object.assign(new URL(scene.environment[key] as string), { password: 'changed' }).href;
        await scene.deploy({
          DATABASE_URL: changed('DATABASE_URL'),
          DATABASE_LISTEN_URL: changed('DATABASE_LISTEN_URL'),
        });
      },
    },
    async proof(scene) {
      expect((await verify(scene, await signedIn(scene.call))).code).toBe('ok');
    },
  },

  'A stolen dump of the database': {
    async make(scene) {
      const { email } = await signedIn(scene.call);
      return { email, ticket };
    },
  },

  'A stolen SMTP password': {
    async settings(scene) {
      scene.smtp.change({ authMethods: ['PLAIN'] });
      return {
        SMTP_URL: scene.smtp.url.replace('//', `//${SMTP_LOGIN}`),
        ALLOW_CLEARTEXT: scene.environment.ALLOW_CLEARTEXT,
      };
    },
    async make(scene) {
      const { email } = await registered(scene.call);
      await scene.call(auth.requestReset, { email });
      await eventually(() => scene.smtp.delivered.some(({ to }) => to === email));
      return {};
    },
    async beforeDo(scene) {
      scene.smtp.change({ authMethods: ['PLAIN'], isLoginWrong: true });
      await scene.call(auth.requestReset, { email: (await registered(scene.call)).email });
      scene.smtp.change({ authMethods: ['PLAIN'] });
      await scene.deploy({ SMTP_URL: scene.smtp.url.replace('//', '//mailer:new-password@') });
    },
    cleanUp: async (scene) => scene.smtp.change({}),
  },

  'A stolen OAuth client secret': {
    async settings() {
      provider = await startOpenIdServer([REDIRECT]);
      return {
        OAUTH_PROVIDERS: 'acme',
        OAUTH_ACME_CLIENT_ID: CLIENT.id,
        OAUTH_ACME_CLIENT_SECRET: CLIENT.secret,
        OAUTH_ACME_REDIRECT_URIS: REDIRECT,
        OAUTH_ACME_ISSUER: provider.issuer,
      };
    },
    async make(scene) {
      expect((await signInAtProvider(scene)).code).toBe('ok');
      return { provider: 'acme' };
    },
    async beforeDo(scene) {
      await provider.changeSecret(NEW_SECRET);
      expect((await signInAtProvider(scene)).reason).toBe('PROVIDER_UNAVAILABLE');
      await scene.deploy({ OAUTH_ACME_CLIENT_SECRET: NEW_SECRET });
    },
    async afterDo(scene) {
      expect((await signInAtProvider(scene)).code).toBe('ok');
    },
    cleanUp: async () => provider?.close(),
  },
};
