// Checks whether the time of a failure shows the factors of an account. Failed first and second steps of accounts without a factor
// (they must add one), with an authenticator app and with a passkey take turns, and each is compared with the first. A small p
// (below 0.01) in one of some twenty rows is chance. The same row again is a leak.
// npm run bench:factors [rounds]
import { generateKeyPairSync } from 'node:crypto';
import pg from 'pg';
import { startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config/config.ts';
import { createLogger } from '../../src/process/log.ts';
import { createAuthenticator } from '../support/authenticator.ts';
import { account, auth, type Caller, viaFetch } from '../support/clients.ts';
import { newPerson, type Person, reauthenticated, registered, signedIn } from '../support/people.ts';
import { challenged, codeAt, PAGE, withPasskey } from '../support/second-factors.ts';
import { compareTimes } from './compare-times.ts';
import { startBackends } from './harness.ts';

const rounds = Number(process.argv[2] ?? 150);
const HIGH = '100000000/60';

const backends = await startBackends();
const config = readConfig({
  ...backends.environment,
  PUBLIC_URL: PAGE,
  LIMIT_LOGIN_ACCOUNT: HIGH,
  LIMIT_LOGIN_PAIR: HIGH,
  LIMIT_LOGIN_NETWORK: HIGH,
  LIMIT_FACTOR_CODE_NETWORK: HIGH,
  LIMIT_PASSKEY_NETWORK: HIGH,
  LIMIT_FACTOR_CODE_USER: HIGH,
  LIMIT_FACTOR_CODE_USER_DAY: HIGH,
  LIMIT_FACTOR_CODE_USER_WEEK: HIGH,
  LIMIT_PASSKEY_SIGN_IN_NETWORK: HIGH,
});
const app = await startApp(config, { api: true, worker: false }, createLogger('silent'));
const call: Caller = viaFetch(`http://127.0.0.1:${app.port}`);
const owner = new pg.Client({ connectionString: backends.ownerUrl });
await owner.connect();

const passkeyOwner = await withPasskey(call);
const ACCOUNTS: Record<string, Person> = {
  'no factor': await registered(call),
  'authenticator app': await withAuthenticatorApp(),
  passkey: passkeyOwner,
};
await owner.query("UPDATE factor_policy SET scope = 'all', changed_at = now()");
console.log(`${rounds} rounds, in each of them one call of every kind in random order`);

await compareTimes(
  rounds,
  'Login, wrong password',
  forEachAccount(
    ({ email }) =>
      () =>
        expectReason('CREDENTIALS_INVALID', auth.login, { email, password: 'a wrong one' }),
  ),
);

/** The client does not know the bytes to sign where the account has no passkey. */
const unknownPasskey = createAuthenticator();
unknownPasskey.register(creationOptionsOf(newPerson()), { origin: PAGE });
const PROOFS: Record<string, () => object> = {
  'TOTP code': () => ({ totpCode: '12345x' }),
  'recovery code': () => ({ recoveryCode: '000000-000000-000000-000000' }),
  'passkey of another challenge': () => ({ passkeyAssertion: assertion('A'.repeat(43)) }),
};
for (const [kind, proof] of Object.entries(PROOFS)) {
  const challenges = await challengesOf(Object.values(ACCOUNTS));
  const kinds = forEachAccount((person) => () => {
    const challengeId = challenges.get(person)?.pop();
    return expectReason('FACTOR_INVALID', auth.finishSignIn, { challengeId, ...proof() });
  });
  await compareTimes(rounds, `FinishSignIn, wrong ${kind}`, kinds);
}

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const started = await Promise.all(Array.from({ length: 2 }, () => call(auth.startPasskeySignIn, {})));
const [known, unknown] = started.map(({ body }) => body.challenge);
await compareTimes(rounds, 'FinishSignIn, a passkey alone', {
  'of an account, another key': () => {
    const forged = passkeyOwner.authenticator.assert(known.passkeyRequestOptions, {
      origin: PAGE,
      signedBy: privateKey,
    });
    return expectReason('FACTOR_INVALID', auth.finishSignIn, { challengeId: known.id, passkeyAssertion: forged });
  },
  'of no account': () => {
    const passkeyAssertion = assertion(JSON.parse(unknown.passkeyRequestOptions).challenge);
    return expectReason('FACTOR_INVALID', auth.finishSignIn, { challengeId: unknown.id, passkeyAssertion });
  },
});

await owner.end();
await app.close();
await backends.stop();
process.exit();

function forEachAccount(askOf: (person: Person) => () => Promise<void>): Record<string, () => Promise<void>> {
  return Object.fromEntries(Object.entries(ACCOUNTS).map(([kind, person]) => [kind, askOf(person)]));
}

async function expectReason(expected: string, method: typeof auth.login | typeof auth.finishSignIn, input: object) {
  const { reason } = await call(method, input as never);
  if (reason !== expected) throw new Error(`${method.name}: ${reason}`);
}

/** One challenge a call, because each accepts five codes. */
async function challengesOf(people: Person[]): Promise<Map<Person, string[]>> {
  const challenges = new Map<Person, string[]>(people.map((person) => [person, []]));
  for (let n = 0; n < rounds + 3; n += 1) {
    for (const person of people) challenges.get(person)?.push((await challenged(call, person)).id);
  }
  return challenges;
}

function assertion(challenge: string): string {
  return unknownPasskey.assert(JSON.stringify({ challenge, rpId: new URL(PAGE).hostname }), { origin: PAGE });
}

function creationOptionsOf({ email }: Person): string {
  return JSON.stringify({ rp: { id: new URL(PAGE).hostname }, user: { id: 'AAAA', name: email }, challenge: 'AAAA' });
}

async function withAuthenticatorApp(): Promise<Person> {
  const person = await reauthenticated(call, await signedIn(call));
  const bearer = person.accessToken;
  const { challengeId, totp } = (await call(account.startAddTotp, {}, { bearer })).body;
  const totpCode = codeAt(totp.secret, Date.now());
  const { code } = await call(account.finishAddTotp, { challengeId, totpCode }, { bearer });
  if (code !== 'ok') throw new Error(`FinishAddTotp: ${code}`);
  return person;
}
