import { randomUUID } from 'node:crypto';
import { apiKeyHash, newApiKey } from '../../src/domain/api-key.ts';
import type { TestApp } from './app.ts';
import { account, auth, type Caller } from './clients.ts';

export type Person = { email: string; password: string; fullName: string };
export type Registered = Person & { userId: string };
export type SignedIn = Registered & { accessToken: string; refreshToken: string };

export function newPerson(): Person {
  return { email: `${randomUUID()}@people.example`, password: `pass phrase ${randomUUID()}`, fullName: 'Grace Hopper' };
}

export async function registered(call: Caller, person = newPerson()): Promise<Registered> {
  const { body, code, reason, message } = await call(auth.register, person);
  if (code !== 'ok') throw new Error(`Register: ${code} ${reason} ${message}`);
  return { ...person, userId: body.user.id };
}

/** Ten at a time: on a busy machine more would wait too long for a connection to Postgres. */
export async function registeredCrowd(call: Caller, count: number): Promise<Registered[]> {
  const people: Registered[] = [];
  while (people.length < count) {
    const next = Math.min(10, count - people.length);
    people.push(...(await Promise.all(Array.from({ length: next }, () => registered(call)))));
  }
  return people;
}

export async function signedIn(call: Caller, person?: Person & { userId: string }): Promise<SignedIn> {
  const known = person ?? (await registered(call));
  const { body, code } = await call(auth.login, { email: known.email, password: known.password });
  if (code !== 'ok') throw new Error(`Login: ${code}`);
  return { ...known, accessToken: body.tokens.accessToken, refreshToken: body.tokens.refreshToken };
}

/** The person with the tokens of a re-authenticated session. */
export async function reauthenticated(call: Caller, person: SignedIn): Promise<SignedIn> {
  const { password: currentPassword, accessToken: bearer } = person;
  const { body, code } = await call(account.reauthenticate, { currentPassword }, { bearer });
  if (code !== 'ok') throw new Error(`Reauthenticate: ${code}`);
  const { accessToken, refreshToken } = body.tokens;
  return { ...person, accessToken, refreshToken };
}

/** Whether an access token is accepted at this moment. */
export async function isAccepted(call: Caller, accessToken: string): Promise<boolean> {
  return (await call(account.getMe, {}, { bearer: accessToken })).code === 'ok';
}

/** A user, an administrator and an expired token, for tests of gateways. Moves the service's clock past the life of an access token. */
export async function gatewayCallers(
  app: TestApp,
  call: Caller,
): Promise<{ person: SignedIn; admin: SignedIn; expired: string }> {
  const expired = (await signedIn(call)).accessToken;
  app.advance(901_000);
  const person = await signedIn(call);
  return { person, admin: await signedInWith(app, call, ['admin']), expired };
}

/** A signed-in user with these additional roles, in a re-authenticated session. */
export async function signedInWith(app: TestApp, call: Caller, roles: string[]): Promise<SignedIn> {
  const person = await signedIn(call);
  for (const role of roles) {
    await app.owner.query('INSERT INTO user_roles VALUES ($1, $2, now())', [person.userId, role]);
  }
  return reauthenticated(call, await refreshed(call, person));
}

export async function refreshed<Person extends SignedIn>(call: Caller, person: Person): Promise<Person> {
  const { body, code } = await call(auth.refresh, { refreshToken: person.refreshToken });
  if (code !== 'ok') throw new Error(`Refresh: ${code}`);
  const { accessToken, refreshToken } = body.tokens;
  return { ...person, accessToken, refreshToken };
}

/** @returns the API key of a new service account with these roles */
export async function serviceAccount(app: TestApp, name: string, roles: string[]): Promise<string> {
  const [account, key, apiKey] = [randomUUID(), randomUUID(), newApiKey()];
  await app.owner.query("INSERT INTO service_accounts VALUES ($1, $2, '', now(), '')", [account, name]);
  for (const role of roles) {
    await app.owner.query('INSERT INTO service_account_roles VALUES ($1, $2, now())', [account, role]);
  }
  await app.owner.query("INSERT INTO api_keys VALUES ($1, $2, '', $3, now(), '', now() + interval '1 day')", [
    key,
    account,
    apiKeyHash(apiKey),
  ]);
  return apiKey;
}

/** @param audiences none for all */
export async function serviceToken(call: Caller, apiKey: string, audiences: string[] = []): Promise<string> {
  const { body, code } = await call(auth.issueServiceToken, { audiences }, { bearer: apiKey });
  if (code !== 'ok') throw new Error(`IssueServiceToken: ${code}`);
  return body.accessToken;
}

/** The access token of a new service account with these roles. */
export async function tokenOfService(app: TestApp, call: Caller, name: string, roles: string[]): Promise<string> {
  return serviceToken(call, await serviceAccount(app, name, roles));
}

export function bearer(token: string): { authorization: string } {
  return { authorization: `Bearer ${token}` };
}
