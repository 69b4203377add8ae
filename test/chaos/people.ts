// The clients of a row. Each starts again until the row stops, and repeats calls without a response.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { account, admin, auth } from '../support/clients.ts';
import { callOnce, isTemporary } from './client.ts';
import { carryThrough, expectOk, type Load, noteUnexpected } from './load.ts';
import { watchRevocation } from './revocation.ts';

type Tokens = { accessToken: string; refreshToken: string };
type Person = { email: string; password: string; userId: string };
type Session = Person & Tokens & { sessionId: string };
/** The person who grants roles. */
export type Administrator = { accessToken: string };

export const GRANTED_ROLE = 'latchkey.roles.read';
const PAUSE_MS = 150;

/** All clients of a row; resolves when each has stopped. */
export async function runPeople(load: Load, administrator: Administrator): Promise<void> {
  const repeat = async (act: () => Promise<void>, pauseMs: number) => {
    while (!load.isStopping()) {
      await act();
      await sleep(pauseMs * (0.5 + Math.random()));
    }
  };
  await Promise.all([
    repeat(() => visit(load), PAUSE_MS),
    repeat(() => visit(load), PAUSE_MS),
    repeat(() => forgetPassword(load), 2 * PAUSE_MS),
    repeat(() => replacePassword(load), 2 * PAUSE_MS),
    repeat(() => receiveRole(load, administrator), 2 * PAUSE_MS),
    reside(load),
    reside(load),
  ]);
}

/** Null where the row ended first. */
async function register(load: Load): Promise<Person | null> {
  const person = { email: `${randomUUID()}@people.example`, password: `pass phrase ${randomUUID()}` };
  const operation = load.ledger.begin('Register', { email: person.email });
  const call = { method: auth.register, input: { ...person, fullName: 'Grace Hopper' } };
  const answer = await carryThrough(load, operation, call);
  // The answer to an earlier attempt was lost, and the account is there.
  if (answer?.reason === 'EMAIL_TAKEN' && operation.attempts.length > 1) {
    operation.isAcknowledged = true;
    return null;
  }
  const body = expectOk(load, operation, answer);
  if (!body) return null;
  operation.userId = body.user.id;
  return { ...person, userId: body.user.id };
}

async function signIn(load: Load, person: Person): Promise<Session | null> {
  const operation = load.ledger.begin('Login', { email: person.email, userId: person.userId });
  const { email, password } = person;
  const body = expectOk(
    load,
    operation,
    await carryThrough(load, operation, { method: auth.login, input: { email, password } }),
  );
  if (!body) return null;
  const { accessToken, refreshToken } = body.tokens;
  const { sid: sessionId } = JSON.parse(Buffer.from(accessToken.split('.')[1], 'base64url').toString());
  operation.sessionId = sessionId;
  return { ...person, accessToken, refreshToken, sessionId };
}

/** A repetition sends the same request_id, and therefore gets the same successor. */
async function refresh(load: Load, session: Session, isLossy: boolean): Promise<Session | null> {
  const { email, userId, sessionId, refreshToken } = session;
  const operation = load.ledger.begin('Refresh', { email, userId, sessionId });
  const way = isLossy ? 'lossy' : 'kept';
  const input = { refreshToken, requestId: randomUUID() };
  const body = expectOk(load, operation, await carryThrough(load, operation, { method: auth.refresh, input, way }));
  return body && { ...session, accessToken: body.tokens.accessToken, refreshToken: body.tokens.refreshToken };
}

/** Signs up, signs in, uses the session and signs out. */
async function visit(load: Load): Promise<void> {
  const person = await register(load);
  const first = person && (await signIn(load, person));
  if (!first || load.isStopping()) return;
  await useToken(load, first.accessToken);
  const session = await refresh(load, first, Math.random() < 0.5);
  if (!session || load.isStopping()) return;
  const { email, userId, sessionId, refreshToken } = session;
  const operation = load.ledger.begin('Logout', { email, userId, sessionId });
  const answer = await carryThrough(load, operation, { method: auth.logout, input: { refreshToken } });
  if (expectOk(load, operation, answer)) watchRevocation(load, session.accessToken, performance.now());
}

/** Requests a mail with a link. */
async function forgetPassword(load: Load): Promise<void> {
  const person = await register(load);
  if (!person) return;
  const { email, userId } = person;
  const operation = load.ledger.begin('RequestReset', { email, userId });
  expectOk(load, operation, await carryThrough(load, operation, { method: auth.requestReset, input: { email } }));
}

/** Changes the password, which ends the account's other session. */
async function replacePassword(load: Load): Promise<void> {
  const person = await register(load);
  const own = person && (await signIn(load, person));
  const other = own && (await signIn(load, person));
  if (!other || load.isStopping()) return;
  const { email, userId } = own;
  const newPassword = `pass phrase ${randomUUID()}`;
  const operation = load.ledger.begin('ChangePassword', { email, userId });
  const input = { currentPassword: own.password, newPassword };
  const answer = await carryThrough(load, operation, {
    method: account.changePassword,
    input,
    bearer: own.accessToken,
  });
  if (!answer) return;
  // An earlier attempt, whose answer was lost, has changed it: its token and its password are no longer valid.
  const isRepeated = operation.attempts.some(({ outcome }) => outcome === 'unknown');
  const isDone = isRepeated && ['PASSWORD_WRONG', 'TOKEN_REVOKED', 'TOKEN_STALE'].includes(answer.reason);
  if (isDone) operation.isAcknowledged = (await signIn(load, { ...person, password: newPassword })) !== null;
  else expectOk(load, operation, answer);
  if (operation.isAcknowledged) watchRevocation(load, other.accessToken, performance.now());
}

/** Gets a role, after which older tokens are stale. */
async function receiveRole(load: Load, administrator: Administrator): Promise<void> {
  const person = await register(load);
  const session = person && (await signIn(load, person));
  if (!session || load.isStopping()) return;
  const { email, userId } = session;
  const operation = load.ledger.begin('GrantRole', { email, userId });
  const input = { userId, role: GRANTED_ROLE, reason: 'chaos' };
  const answer = await carryThrough(load, operation, {
    method: admin.grantRole,
    input,
    bearer: administrator.accessToken,
  });
  if (expectOk(load, operation, answer)) watchRevocation(load, session.accessToken, performance.now());
}

/** One long session that is refreshed repeatedly while responses get lost. It must last. */
async function reside(load: Load): Promise<void> {
  const person = await register(load);
  let session = person && (await signIn(load, person));
  while (session && !load.isStopping()) {
    await useToken(load, session.accessToken);
    session = await refresh(load, session, true);
    await sleep(2 * PAUSE_MS);
  }
}

/** Verifies a live token at every verifier. Only temporary failures are allowed. */
async function useToken(load: Load, accessToken: string): Promise<void> {
  const { ledger, servers, local } = load;
  const atServers = servers.map(async ({ name, port }) => {
    const at = performance.now();
    const answer = await callOnce(port, {
      method: auth.verify,
      input: { accessToken },
      requestId: ledger.newRequestId(),
    });
    if (answer.code === 'ok') ledger.acceptances.push({ server: name, at });
    else if (!isTemporary(answer)) noteUnexpected(ledger, `Verify of a live token at ${name}`, answer);
  });
  const atLocal = local.verify(accessToken).catch(({ reason = 'unknown' }: { reason?: string }) => {
    if (reason !== 'DEPENDENCY_UNAVAILABLE')
      noteUnexpected(ledger, 'local verification of a live token', { code: 'error', reason });
  });
  await Promise.all([...atServers, atLocal]);
}
