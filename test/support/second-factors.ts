// Accounts with second factors, through the RPCs that a product would use.
import { Secret, TOTP } from 'otpauth';
import type { TestApp } from './app.ts';
import { type Authenticator, createAuthenticator } from './authenticator.ts';
import { account, auth, type Caller } from './clients.ts';
import { type Person, reauthenticated, type SignedIn, signedIn } from './people.ts';

/** The origin of the pages that use passkeys, for tests that do not configure one. */
export const PAGE = 'https://product.example';

export type WithTotp = SignedIn & { secret: string; factorId: string; recoveryCodes: string[] };
export type WithPasskey = SignedIn & { authenticator: Authenticator; factorId: string; recoveryCodes: string[] };

const STEP_MS = 30_000;

/** Moves the service's clock to the next step, so that the code is new. */
export function nextCode(app: TestApp, secret: string): string {
  app.advance(STEP_MS);
  return codeAt(secret, app.time());
}

export function codeAt(secret: string, time: number): string {
  return new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp: time });
}

export async function withTotp(app: TestApp, call: Caller, person?: SignedIn): Promise<WithTotp> {
  const owner = await reauthenticated(call, person ?? (await signedIn(call)));
  const started = await call(account.startAddTotp, {}, { bearer: owner.accessToken });
  if (started.code !== 'ok') throw new Error(`StartAddTotp: ${started.code} ${started.reason}`);
  const { challengeId, totp } = started.body;
  const totpCode = nextCode(app, totp.secret);
  const { body, code, reason } = await call(
    account.finishAddTotp,
    { challengeId, totpCode },
    { bearer: owner.accessToken },
  );
  if (code !== 'ok') throw new Error(`FinishAddTotp: ${code} ${reason}`);
  return {
    ...owner,
    ...tokensOf(body),
    secret: totp.secret,
    factorId: body.factor.id,
    recoveryCodes: body.recoveryCodes,
  };
}

export async function withPasskey(
  call: Caller,
  person?: SignedIn,
  page = PAGE,
  authenticator?: Authenticator,
): Promise<WithPasskey> {
  const owner = await reauthenticated(call, person ?? (await signedIn(call)));
  return addPasskey(call, owner, page, authenticator);
}

/** For a session that is re-authenticated. */
export async function addPasskey(
  call: Caller,
  owner: SignedIn,
  page = PAGE,
  authenticator = createAuthenticator(),
): Promise<WithPasskey> {
  const bearer = owner.accessToken;
  const started = await call(account.startAddPasskey, {}, { bearer });
  if (started.code !== 'ok') throw new Error(`StartAddPasskey: ${started.code} ${started.reason}`);
  const { challengeId, creationOptions } = started.body;
  const passkeyRegistration = authenticator.register(creationOptions, { origin: page });
  const { body, code, reason } = await call(account.finishAddPasskey, { challengeId, passkeyRegistration }, { bearer });
  if (code !== 'ok') throw new Error(`FinishAddPasskey: ${code} ${reason}`);
  return { ...owner, ...tokensOf(body), authenticator, factorId: body.factor.id, recoveryCodes: body.recoveryCodes };
}

/** The first step of a sign-in, which must lead to a second one. */
// biome-ignore lint/suspicious/noExplicitAny: as Outcome.body
export async function challenged(call: Caller, { email, password }: Pick<Person, 'email' | 'password'>): Promise<any> {
  const { body, code } = await call(auth.login, { email, password });
  if (code !== 'ok' || !body.challenge) throw new Error(`Login: ${code}, without a challenge`);
  return body.challenge;
}

export async function signInWithCode<P extends WithTotp>(app: TestApp, call: Caller, person: P): Promise<P> {
  const { id } = await challenged(call, person);
  const { body } = await call(auth.finishSignIn, { challengeId: id, totpCode: nextCode(app, person.secret) });
  return { ...person, ...tokensOf(body) };
}

export async function signInWithPasskey<P extends WithPasskey>(call: Caller, person: P): Promise<P> {
  const { id, passkeyRequestOptions } = await challenged(call, person);
  const passkeyAssertion = person.authenticator.assert(passkeyRequestOptions, { origin: PAGE });
  const { body } = await call(auth.finishSignIn, { challengeId: id, passkeyAssertion });
  return { ...person, ...tokensOf(body) };
}

/** In the person's session. */
export async function stepUpWithCode<P extends WithTotp>(app: TestApp, call: Caller, person: P): Promise<P> {
  const bearer = person.accessToken;
  const { id: challengeId } = (await call(account.startStepUp, {}, { bearer })).body.challenge;
  const totpCode = nextCode(app, person.secret);
  const { body } = await call(account.finishStepUp, { challengeId, totpCode }, { bearer });
  return { ...person, ...tokensOf(body) };
}

/** In the person's session. */
export async function stepUpWithPasskey<P extends WithPasskey>(call: Caller, person: P): Promise<P> {
  const bearer = person.accessToken;
  const { id: challengeId, passkeyRequestOptions } = (await call(account.startStepUp, {}, { bearer })).body.challenge;
  const passkeyAssertion = person.authenticator.assert(passkeyRequestOptions, { origin: PAGE });
  const { body } = await call(account.finishStepUp, { challengeId, passkeyAssertion }, { bearer });
  return { ...person, ...tokensOf(body) };
}

// biome-ignore lint/suspicious/noExplicitAny: as Outcome.body
export function tokensOf({ tokens }: any): Pick<SignedIn, 'accessToken' | 'refreshToken'> {
  return { accessToken: tokens.accessToken, refreshToken: tokens.refreshToken };
}
