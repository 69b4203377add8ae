import { keysChanged, part, position, sessionEnded } from '../stream.ts';
import { edDsa, NOW, SECONDS, SESSION, unknownEdDsa, userToken, withSignature } from '../tokens.ts';
import { type VerdictCase, verdictCase } from '../verdict-case.ts';

const KEYS = [keysChanged([edDsa])];
const YEAR_MS = 365 * 86_400_000;

export function stalenessCases(): VerdictCase[] {
  return [...completenessCases(), ...ageCases(), ...clockCases(), ...resumeCases()];
}

function completenessCases(): VerdictCase[] {
  return [
    verdictCase('UNDECIDED', 'before the first message', { messages: [] }),
    verdictCase('UNDECIDED', 'the snapshot is not complete', { messages: [part(KEYS)] }),
    verdictCase('VALID', 'the snapshot is complete by an empty message', { messages: [part(KEYS), position()] }),
    verdictCase('TOKEN_INVALID', 'forged, before the snapshot is complete', {
      token: withSignature(userToken(), (bytes) => Buffer.from(bytes).reverse()),
      messages: [part(KEYS)],
    }),
    verdictCase('UNDECIDED', 'of an unknown key, before the snapshot is complete', {
      token: userToken({}, unknownEdDsa),
      messages: [part(KEYS)],
    }),
  ];
}

function ageCases(): VerdictCase[] {
  const complete = [position(KEYS)];
  const at = (ms: number) => ({ messages: complete, verify_at_ms: NOW + ms });
  const expired = userToken({ iat: SECONDS - 890, exp: SECONDS + 10 });
  return [
    verdictCase('VALID', 'the data is as old as the limit', at(5_000)),
    verdictCase('UNDECIDED', 'the data is a millisecond older than the limit', at(5_001)),
    verdictCase('VALID', 'the data is as old as the limit of a stream that has ended', {
      ...at(1_000),
      max_staleness_ms: 1_000,
    }),
    verdictCase('UNDECIDED', 'the data is older than the limit of a stream that has ended', {
      ...at(1_001),
      max_staleness_ms: 1_000,
    }),
    verdictCase('VALID', 'a heartbeat makes the data fresh', {
      messages: [...complete, position([], { sentMs: 6_000 })],
      verify_at_ms: NOW + 6_000,
    }),
    verdictCase('UNDECIDED', 'a message without a cursor does not make the data fresh', {
      messages: [...complete, part([], { sentMs: 6_000 })],
      verify_at_ms: NOW + 6_000,
    }),
    verdictCase('UNDECIDED', 'the server is behind Postgres by more than the limit', {
      messages: [...complete, position([], { sentMs: 9_000, lagMs: 5_500 })],
      verify_at_ms: NOW + 9_000,
    }),
    verdictCase('VALID', 'the server is behind Postgres by less than the limit', {
      messages: [...complete, position([], { sentMs: 9_000, lagMs: 4_500 })],
      verify_at_ms: NOW + 9_000,
    }),
    verdictCase('TOKEN_EXPIRED', 'expired, with old data', { token: expired, ...at(60_000) }),
    verdictCase('AUDIENCE_MISMATCH', 'of another audience, with old data', { audience: 'warehouse', ...at(60_000) }),
    verdictCase('TOKEN_INVALID', 'forged, with old data', {
      token: withSignature(userToken(), (bytes) => Buffer.from(bytes).reverse()),
      ...at(60_000),
    }),
    verdictCase('UNDECIDED', 'of an unknown key, with old data: the key can be new', {
      token: userToken({}, unknownEdDsa),
      ...at(60_000),
    }),
    verdictCase('TOKEN_INVALID', 'of an unknown key, with fresh data', {
      token: userToken({}, unknownEdDsa),
      ...at(0),
    }),
    verdictCase('TOKEN_INVALID', 'no token at all, with old data', { token: 'token', ...at(60_000) }),
  ];
}

function clockCases(): VerdictCase[] {
  const ahead = (clockMs: number) => ({ messages: [position(KEYS, { clockMs })], verify_at_ms: NOW + clockMs });
  const delayed = [position(KEYS), position([], { sentMs: 1_000, delayMs: 6_000 })];
  return [
    verdictCase('VALID', "the client's clock is a year ahead", ahead(YEAR_MS)),
    verdictCase('VALID', "the client's clock is a year behind", ahead(-YEAR_MS)),
    verdictCase('TOKEN_EXPIRED', "expired by the server's clock, the client's clock is a year behind", {
      ...ahead(-YEAR_MS),
      token: userToken({ iat: SECONDS - 900, exp: SECONDS }),
    }),
    verdictCase('TOKEN_INVALID', "iat is in the future of the server, the client's clock is a year ahead", {
      ...ahead(YEAR_MS),
      token: userToken({ iat: SECONDS + 61, exp: SECONDS + 961 }),
    }),
    verdictCase('VALID', 'the monotonic clock begins at zero', ahead(-NOW)),
    verdictCase('UNDECIDED', 'a message that was late by 6 seconds confirms the time of its sending', {
      messages: delayed,
      verify_at_ms: NOW + 7_000,
    }),
    verdictCase('VALID', 'a message that was late by 6 seconds, and a heartbeat that was not', {
      messages: [...delayed, position([], { sentMs: 7_000 })],
      verify_at_ms: NOW + 7_000,
    }),
    verdictCase('VALID', 'a first message that was late by 6 seconds, and faster ones', {
      messages: [position(KEYS, { delayMs: 6_000 }), position([], { sentMs: 6_500, delayMs: 10 })],
      verify_at_ms: NOW + 6_510,
    }),
    verdictCase('TOKEN_EXPIRED', 'exp follows from the fastest message', {
      token: userToken({ iat: SECONDS - 890, exp: SECONDS + 10 }),
      messages: [position(KEYS, { delayMs: 3_000 }), position([], { sentMs: 9_000, delayMs: 0 })],
      verify_at_ms: NOW + 10_000,
    }),
  ];
}

/** A client that has resumed and has received nothing on the new stream keeps its data and its clock. */
function resumeCases(): VerdictCase[] {
  const resumed = { messages: [position(KEYS)], resumes_after: 1, verify_at_ms: NOW + 500, max_staleness_ms: 1_000 };
  return [
    verdictCase('VALID', 'a new stream has sent nothing', resumed),
    verdictCase('UNDECIDED', 'a new stream has sent nothing, and the data is too old', {
      ...resumed,
      verify_at_ms: NOW + 1_001,
    }),
    verdictCase('TOKEN_REVOKED', 'a new stream has sent nothing, and the session had ended before', {
      ...resumed,
      messages: [position([...KEYS, sessionEnded(SESSION)])],
    }),
    verdictCase('TOKEN_EXPIRED', 'expired while a new stream has sent nothing', {
      ...resumed,
      token: userToken({ iat: SECONDS - 900, exp: SECONDS }),
    }),
    verdictCase('TOKEN_INVALID', 'iat is in the future while a new stream has sent nothing', {
      ...resumed,
      token: userToken({ iat: SECONDS + 61, exp: SECONDS + 961 }),
    }),
    verdictCase('TOKEN_REVOKED', 'a new stream begins with an event', {
      ...resumed,
      messages: [position(KEYS), part([sessionEnded(SESSION)], { sentMs: 400 })],
    }),
    verdictCase('VALID', 'a new stream of a server whose clock is 10 minutes ahead', {
      ...resumed,
      messages: [position(KEYS), position([], { sentMs: 600_000, delayMs: -599_700 })],
    }),
  ];
}
