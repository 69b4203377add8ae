import {
  futureKind,
  keysChanged,
  noKind,
  part,
  position,
  roleChanged,
  type StreamMessage,
  sessionEnded,
  userChanged,
} from '../stream.ts';
import {
  API_KEY,
  edDsa,
  es256,
  headerOf,
  ISSUER,
  NOW,
  nextEdDsa,
  OTHER,
  SECONDS,
  SERVICE,
  SESSION,
  serviceToken,
  signed,
  USER,
  USER_CLAIMS,
  userToken,
  withSignature,
} from '../tokens.ts';
import { type VerdictCase, verdictCase } from '../verdict-case.ts';

const EXPIRED = userToken({ iat: SECONDS - 900, exp: SECONDS });
const FORGED = withSignature(userToken(), (bytes) => Buffer.from(bytes).reverse());

type Event = Parameters<typeof part>[0][number];

/** A complete stream with the key and these events. */
function after(...events: Event[]): { messages: StreamMessage[] } {
  return { messages: [position([keysChanged([edDsa]), ...events])] };
}

export function eventCases(): VerdictCase[] {
  return [...sessionCases(), ...userCases(), ...roleCases(), ...keyCases(), ...unknownKindCases()];
}

function sessionCases(): VerdictCase[] {
  return [
    verdictCase('TOKEN_REVOKED', 'the session has ended', after(sessionEnded(SESSION))),
    verdictCase('TOKEN_REVOKED', 'the session has ended, twice', after(sessionEnded(SESSION), sessionEnded(SESSION))),
    verdictCase('VALID', 'another session has ended', after(sessionEnded(OTHER))),
    verdictCase('VALID', 'a session with the id of the user has ended', after(sessionEnded(USER))),
    verdictCase('TOKEN_REVOKED', 'the API key of a service is revoked', {
      token: serviceToken(),
      ...after(sessionEnded(API_KEY)),
    }),
    verdictCase('TOKEN_REVOKED', 'the event arrives before the message with the cursor', {
      messages: [part([keysChanged([edDsa])]), part([sessionEnded(SESSION)]), position()],
    }),
    verdictCase('TOKEN_REVOKED', 'the event arrives before the keys', {
      messages: [part([sessionEnded(SESSION)]), part([keysChanged([edDsa])]), position()],
    }),
    verdictCase('TOKEN_REVOKED', 'the event arrives after the snapshot', {
      messages: [position([keysChanged([edDsa])]), part([sessionEnded(SESSION)])],
    }),
    verdictCase('TOKEN_REVOKED', 'the event is among 500 others', {
      messages: [position([keysChanged([edDsa]), ...manySessions(250), sessionEnded(SESSION), ...manySessions(250)])],
    }),
    verdictCase('TOKEN_REVOKED', 'the event is an hour old, and the token outlives it', {
      token: userToken({ iat: SECONDS + 60, exp: SECONDS + 3_660 }),
      messages: [position([keysChanged([edDsa]), sessionEnded(SESSION)]), position([], { sentMs: 3_659_000 })],
      verify_at_ms: NOW + 3_659_000,
    }),
    verdictCase('TOKEN_EXPIRED', 'expired, and the session has ended', {
      token: EXPIRED,
      ...after(sessionEnded(SESSION)),
    }),
    verdictCase('AUDIENCE_MISMATCH', 'of another audience, and the session has ended', {
      audience: 'warehouse',
      ...after(sessionEnded(SESSION)),
    }),
    verdictCase('TOKEN_INVALID', 'forged, with the id of an ended session', {
      token: FORGED,
      ...after(sessionEnded(SESSION)),
    }),
  ];
}

function manySessions(count: number): Event[] {
  return Array.from({ length: count }, (_, n) =>
    sessionEnded(`018f6b2e-0000-7000-9000-${String(n).padStart(12, '0')}`),
  );
}

/** The token of the user has the epoch 3. */
function userCases(): VerdictCase[] {
  return [
    verdictCase('TOKEN_STALE', 'the claims of the user have changed', after(userChanged(USER, 4, 0))),
    verdictCase('VALID', 'the token is newer than the change of the claims', after(userChanged(USER, 3, 3))),
    verdictCase('TOKEN_REVOKED', 'all tokens of the user are revoked', after(userChanged(USER, 4, 4))),
    verdictCase('TOKEN_REVOKED', 'revoked, and not stale', after(userChanged(USER, 0, 4))),
    verdictCase('VALID', 'another user has changed', after(userChanged(OTHER, 9, 9))),
    verdictCase(
      'TOKEN_STALE',
      'a lower number after a higher one',
      after(userChanged(USER, 4, 0), userChanged(USER, 2, 0)),
    ),
    verdictCase(
      'TOKEN_REVOKED',
      'a higher stale_below_epoch does not replace revoked_below_epoch',
      after(userChanged(USER, 4, 4), userChanged(USER, 9, 1)),
    ),
    verdictCase('TOKEN_REVOKED', 'a lower revoked_below_epoch in a later message', {
      messages: [position([keysChanged([edDsa]), userChanged(USER, 4, 4)]), position([userChanged(USER, 5, 0)])],
    }),
    verdictCase('TOKEN_STALE', 'the roles of a service have changed', {
      token: serviceToken(),
      ...after(userChanged(SERVICE, 4, 0)),
    }),
    verdictCase(
      'TOKEN_REVOKED',
      'stale, and the session has ended',
      after(userChanged(USER, 4, 0), sessionEnded(SESSION)),
    ),
    verdictCase('TOKEN_STALE', 'an epoch above 2^32', {
      token: userToken({ epoch: 2 ** 33 }),
      ...after(userChanged(USER, 2 ** 33 + 1, 0)),
    }),
  ];
}

/** The token has the roles user and editor, and the roles_epoch 7. */
function roleCases(): VerdictCase[] {
  return [
    verdictCase('TOKEN_STALE', 'a role of the token has changed', after(roleChanged('editor', 8))),
    verdictCase('VALID', 'the token is newer than the change of the role', after(roleChanged('editor', 7))),
    verdictCase('VALID', 'a role that the token lacks has changed', after(roleChanged('admin', 9))),
    verdictCase('VALID', 'a role whose name begins with one of the token', after(roleChanged('editor.chief', 9))),
    verdictCase(
      'TOKEN_STALE',
      'a lower number of a role after a higher one',
      after(roleChanged('editor', 8), roleChanged('editor', 2)),
    ),
    verdictCase(
      'TOKEN_REVOKED',
      'a role has changed, and the session has ended',
      after(roleChanged('editor', 8), sessionEnded(SESSION)),
    ),
    verdictCase(
      'VALID',
      'a role with the name of a member of objects has changed',
      after(roleChanged('constructor', 9)),
    ),
    verdictCase('VALID', 'a token without roles', {
      token: userToken({ roles: [] }),
      ...after(roleChanged('user', 9), roleChanged('editor', 9)),
    }),
  ];
}

function keyCases(): VerdictCase[] {
  const future = { kid: 'unusable-key-of-a-future-algorithm-00000000', algorithm: 'ML-DSA-65', spki: Buffer.of(1) };
  const ofFuture = signed(headerOf(future), JSON.stringify(USER_CLAIMS), { sign: () => Buffer.alloc(64) });
  const withFuture = { messages: [position([keysChanged([edDsa, future])])] };
  return [
    verdictCase('TOKEN_INVALID', 'the key is not in the list', { token: userToken({}, nextEdDsa) }),
    verdictCase('VALID', 'the key is added later', {
      token: userToken({}, nextEdDsa),
      messages: [position([keysChanged([edDsa])]), position([keysChanged([edDsa, nextEdDsa])])],
    }),
    verdictCase('TOKEN_INVALID', 'the key is removed later', {
      messages: [position([keysChanged([edDsa, nextEdDsa])]), position([keysChanged([nextEdDsa])])],
    }),
    verdictCase(
      'VALID',
      'the last list of keys in one message counts',
      after(keysChanged([nextEdDsa]), keysChanged([edDsa])),
    ),
    verdictCase('TOKEN_INVALID', 'the list of keys is empty', { messages: [position([keysChanged([])])] }),
    verdictCase('TOKEN_INVALID', 'the issuer of the deployment has changed', {
      messages: [position([keysChanged([edDsa])]), position([keysChanged([edDsa], `${ISSUER}/new`)])],
    }),
    verdictCase('VALID', 'a key of another algorithm beside', { messages: [position([keysChanged([es256, edDsa])])] }),
    verdictCase('UNDECIDED', 'the key has an algorithm that the client lacks', { token: ofFuture, ...withFuture }),
    verdictCase('VALID', 'another key has an algorithm that the client lacks', withFuture),
    verdictCase('TOKEN_INVALID', 'the key of a future algorithm, with typ JWT', {
      token: signed(JSON.stringify({ alg: future.algorithm, kid: future.kid, typ: 'JWT' }), '{}', edDsa),
      ...withFuture,
    }),
  ];
}

function unknownKindCases(): VerdictCase[] {
  const heartbeats = [1_000, 2_000].map((sentMs) => position([], { sentMs }));
  return [
    verdictCase('UNDECIDED', 'an event of a kind that no version has', after(futureKind())),
    verdictCase('UNDECIDED', 'an event without a kind', after(noKind())),
    verdictCase('UNDECIDED', 'an event of an unknown kind in a message before the one with the cursor', {
      messages: [part([keysChanged([edDsa])]), part([futureKind()]), position()],
    }),
    verdictCase('UNDECIDED', 'an event of an unknown kind, and later heartbeats', {
      messages: [position([keysChanged([edDsa]), futureKind()]), ...heartbeats],
      verify_at_ms: NOW + 2_000,
    }),
    verdictCase('UNDECIDED', 'an event of an unknown kind, and later events of known kinds', {
      messages: [position([keysChanged([edDsa]), futureKind()]), position([sessionEnded(OTHER), keysChanged([edDsa])])],
    }),
    verdictCase('UNDECIDED', 'an event of an unknown kind that is an hour old', {
      token: userToken({ iat: SECONDS + 60, exp: SECONDS + 3_660 }),
      messages: [position([keysChanged([edDsa]), futureKind()]), position([], { sentMs: 3_659_000 })],
      verify_at_ms: NOW + 3_659_000,
    }),
    verdictCase('TOKEN_EXPIRED', 'expired, with an event of an unknown kind', {
      token: EXPIRED,
      ...after(futureKind()),
    }),
    verdictCase('AUDIENCE_MISMATCH', 'of another audience, with an event of an unknown kind', {
      audience: 'warehouse',
      ...after(futureKind()),
    }),
    verdictCase('TOKEN_INVALID', 'forged, with an event of an unknown kind', { token: FORGED, ...after(futureKind()) }),
    verdictCase('UNDECIDED', 'a token of a service, with an event of an unknown kind', {
      token: serviceToken(),
      ...after(futureKind()),
    }),
  ];
}
