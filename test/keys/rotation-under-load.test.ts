// Three processes whose keys rotate every few seconds while users sign in and refresh: every kind of verifier accepts all
// of their tokens.
import { setTimeout as sleep } from 'node:timers/promises';
import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, type JWTVerifyGetKey, jwtVerify } from 'jose';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createLatchkey, type Latchkey } from '../../src/client/latchkey.ts';
import type { Environment } from '../../src/config/config.ts';
import type { Mailbox } from '../../src/dev/mailbox.ts';
import { openTestMailbox, SERVICE_KEY, testEnvironment } from '../support/app.ts';
import { auth, type Caller, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { type SignedIn, signedIn } from '../support/people.ts';
import { type RunningProcess, runMain, serve } from '../support/processes.ts';

/** A rotation every five seconds or so, when the worker has published the next key. */
const ROTATIONS = 4;
const PUBLISH_SECONDS = 2;

let mailbox: Mailbox;
let environment: Environment;
let servers: (RunningProcess & { url: string })[];
/** Publishes the next key. */
let worker: RunningProcess;
let owner: pg.Pool;
beforeAll(async () => {
  mailbox = await openTestMailbox();
  environment = await testEnvironment(mailbox, {
    KEY_PUBLISH_SECONDS: String(PUBLISH_SECONDS),
    REVOCATION_MAX_AGE_MS: String((PUBLISH_SECONDS * 1000) / 2),
    TOKEN_CACHE_MB: '1',
  });
  servers = await Promise.all([serve(environment), serve(environment), serve(environment)]);
  worker = runMain(['worker'], environment);
  owner = new pg.Pool({ connectionString: environment.MIGRATION_DATABASE_URL, max: 1 });
});
afterAll(async () => {
  for (const { child } of [...servers, worker]) child.kill('SIGKILL');
  await Promise.all([...servers, worker].map(({ ended }) => ended));
  await owner.end();
  await mailbox.close();
});

/** Caches the JWKS of one server for its max-age, and fetches it at no other time. */
function cachedJwks(url: string): JWTVerifyGetKey {
  let kept: { keys: JWTVerifyGetKey; until: number } | null = null;
  return async (header, token) => {
    if (!kept || kept.until <= performance.now()) {
      const response = await fetch(`${url}/.well-known/jwks.json`);
      const maxAge = Number(/max-age=(\d+)/.exec(response.headers.get('cache-control') ?? '')?.[1]);
      kept = {
        keys: createLocalJWKSet((await response.json()) as JSONWebKeySet),
        until: performance.now() + maxAge * 1000,
      };
    }
    return kept.keys(header, token);
  };
}

test('every verifier accepts every valid token', async () => {
  const calls = servers.map(({ url }) => viaFetch(url));
  const locals = servers.map(({ url }) => createLatchkey({ url, serviceKey: SERVICE_KEY, whenStale: 'reject' }));
  await Promise.all(locals.map((latchkey) => latchkey.ready()));
  const sets = servers.map(({ url }) => cachedJwks(url));
  const seen = { tokens: 0, kids: new Set<string>() };
  let isRunning = true;

  async function acceptedEverywhere(accessToken: string): Promise<void> {
    seen.tokens += 1;
    seen.kids.add(decodeProtectedHeader(accessToken).kid as string);
    const byCall = calls.map((call) => call(auth.verify, { accessToken }).then(({ code, reason }) => reason ?? code));
    const byClient = locals.map((latchkey: Latchkey) => latchkey.verify(accessToken).then(() => 'ok'));
    const byJwks = sets.map((set) => jwtVerify(accessToken, set).then(() => 'ok'));
    expect(await Promise.all([...byCall, ...byClient, ...byJwks])).toEqual(Array(9).fill('ok'));
  }

  async function live(n: number): Promise<void> {
    const of = (turn: number) => calls[turn % calls.length] as Caller;
    let person: SignedIn = await signedIn(of(n));
    const first = person.accessToken;
    for (let turn = n; isRunning; turn += 1) {
      await acceptedEverywhere(person.accessToken);
      const answer = await of(turn)(auth.refresh, { refreshToken: person.refreshToken });
      expect(answer.code, answer.reason).toBe('ok');
      person = { ...person, ...answer.body.tokens };
      // The first token is as valid as on its first day, in any state of its key.
      await acceptedEverywhere(first);
    }
  }

  const lives = Promise.all([0, 1, 2].map(live));
  for (let done = 0; done < ROTATIONS; ) {
    // Two operators rotate at once. They are rejected until every verifier can have the next key.
    const asked = [1, 2].map(() => runMain(['keys', 'rotate', '--reason', 'often'], environment).ended);
    done += (await Promise.all(asked)).filter((exit) => exit === 0).length;
    await Promise.race([lives, sleep(300)]);
  }
  await Promise.race([lives, sleep(1_000)]);
  isRunning = false;
  await lives;
  expect(seen.kids.size).toBeGreaterThanOrEqual(ROTATIONS);
  expect(seen.tokens).toBeGreaterThan(50);

  // Every verifier that follows rejects tokens of a retired key within a second, and accepts tokens of the next key.
  const person = await signedIn(calls[0] as Caller);
  const { kid = '' } = decodeProtectedHeader(person.accessToken);
  await Promise.all(locals.map((latchkey) => latchkey.verify(person.accessToken)));
  const retired = runMain(['keys', 'retire', kid, '--reason', 'lost'], environment).ended;
  const noticed = eventually(async () => {
    const { rows } = await owner.query("SELECT FROM signing_keys WHERE kid = $1 AND state = 'retired'", [kid]);
    return rows.length > 0 ? performance.now() : null;
  }, 10_000);
  const rejections = [
    ...calls.map((call) => async () => (await call(auth.verify, { accessToken: person.accessToken })).reason),
    ...locals.map(
      (latchkey) => () =>
        latchkey.verify(person.accessToken).then(
          () => null,
          (error) => error.reason,
        ),
    ),
  ];
  const rejectedAt = rejections.map(async (rejection) => {
    await eventually(async () => (await rejection()) === 'TOKEN_INVALID', 10_000);
    return performance.now();
  });
  const committedBy = await noticed;
  expect(Math.max(...(await Promise.all(rejectedAt))) - committedBy).toBeLessThan(1_000);
  expect(await retired).toBe(0);
  const { body } = await (calls[1] as Caller)(auth.refresh, { refreshToken: person.refreshToken });
  for (const call of calls) expect((await call(auth.verify, { accessToken: body.tokens.accessToken })).code).toBe('ok');
  for (const latchkey of locals) latchkey.close();
  const { rows } = await owner.query("SELECT count(*)::int AS keys FROM signing_keys WHERE state = 'active'");
  expect(rows).toEqual([{ keys: 1 }]);
}, 120_000);
