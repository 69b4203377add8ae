import { ISSUER, SECONDS, serviceToken, USER, userToken } from '../tokens.ts';
import { type VerdictCase, verdictCase } from '../verdict-case.ts';

export function claimCases(): VerdictCase[] {
  return [
    ...rejected('user', userToken, userClaims),
    ...rejected('service', serviceToken, serviceClaims),
    verdictCase('VALID', 'a token of a service', { token: serviceToken() }),
    verdictCase('VALID', 'a user without roles', { token: userToken({ roles: [] }) }),
    verdictCase('VALID', 'an email that is not verified', { token: userToken({ email_verified: false }) }),
    verdictCase('VALID', 'a claim that the version of the client does not have', {
      token: userToken({ nonce: 'n-0S6_WzA2Mj', authorization_details: [{ type: 'payment' }] }),
    }),
    verdictCase('VALID', 'an email with letters of other scripts', {
      token: userToken({ email: 'ада@пример.example' }),
    }),
    ...timeCases(),
    ...audienceCases(),
    verdictCase('VALID', 'a user with the strength of the authentication', {
      token: userToken({ acr: 'mfa', amr: ['mfa', 'otp', 'pwd'], auth_time: SECONDS - 60 }),
    }),
    verdictCase('VALID', 'a user of an identity provider that reports no methods', {
      token: userToken({ acr: 'pwd', amr: [], auth_time: SECONDS - 86_400 }),
    }),
  ];
}

type Make = (changes: Record<string, unknown>) => string;

function rejected(kind: string, make: Make, claims: [string, Record<string, unknown>][]): VerdictCase[] {
  return claims.map(([name, changes]) => verdictCase('TOKEN_INVALID', `${kind}: ${name}`, { token: make(changes) }));
}

const userClaims: [string, Record<string, unknown>][] = [
  ['iss is another issuer', { iss: 'https://auth.example.org' }],
  ['iss has a slash at the end', { iss: `${ISSUER}/` }],
  ['iss is missing', { iss: undefined }],
  ['iss is a list', { iss: [ISSUER] }],
  ['sub is missing', { sub: undefined }],
  ['sub is empty', { sub: '' }],
  ['sub is no UUID', { sub: 'ada' }],
  ['sub is a UUID in upper case', { sub: USER.toUpperCase() }],
  ['sub has a line break at the end', { sub: `${USER}\n` }],
  ['sub is a number', { sub: 1 }],
  ['aud is missing', { aud: undefined }],
  ['aud is an empty list', { aud: [] }],
  ['aud is a text', { aud: 'latchkey' }],
  ['aud has a number', { aud: ['latchkey', 1] }],
  ['client_id is missing', { client_id: undefined }],
  ['client_id is in upper case', { client_id: 'LATCHKEY' }],
  ['jti is missing', { jti: undefined }],
  ['sid is missing', { sid: undefined }],
  ['sid is no UUID', { sid: 'session' }],
  ['email is missing', { email: undefined }],
  ['email_verified is missing', { email_verified: undefined }],
  ['email_verified is a text', { email_verified: 'true' }],
  ['refresh_counter is missing', { refresh_counter: undefined }],
  ['refresh_counter is a text', { refresh_counter: '4' }],
  ['roles are missing', { roles: undefined }],
  ['roles are a text', { roles: 'admin' }],
  ['roles are an object', { roles: { 0: 'admin' } }],
  ['roles have null', { roles: ['user', null] }],
  ['epoch is missing', { epoch: undefined }],
  ['epoch is a text', { epoch: '3' }],
  ['epoch is a fraction', { epoch: 3.5 }],
  ['epoch is above 2^53', { epoch: 2 ** 53 }],
  ['roles_epoch is missing', { roles_epoch: undefined }],
  ['roles_epoch is null', { roles_epoch: null }],
];

const serviceClaims: [string, Record<string, unknown>][] = [
  ['client_id is that of users', { client_id: 'latchkey' }],
  ['client_id is no name of a service', { client_id: 'Billing service' }],
  ['client_id has 64 letters', { client_id: 'a'.repeat(64) }],
  ['email is present', { email: 'ada@example.com' }],
  ['email_verified is present', { email_verified: true }],
  ['refresh_counter is present', { refresh_counter: 1 }],
];

function timeCases(): VerdictCase[] {
  const lifetime = (from: number, to: number) => ({ token: userToken({ iat: SECONDS + from, exp: SECONDS + to }) });
  return [
    verdictCase('VALID', 'iat is this second', lifetime(0, 900)),
    verdictCase('VALID', 'iat is 60 seconds in the future', lifetime(60, 960)),
    verdictCase('TOKEN_INVALID', 'iat is 61 seconds in the future', lifetime(61, 961)),
    verdictCase('VALID', 'exp is in one second', lifetime(-899, 1)),
    verdictCase('VALID', 'exp is in one millisecond', { ...lifetime(-899, 1), verify_at_ms: SECONDS * 1000 + 999 }),
    verdictCase('TOKEN_EXPIRED', 'exp is this second', lifetime(-900, 0)),
    verdictCase('TOKEN_EXPIRED', 'exp was a second ago', lifetime(-901, -1)),
    verdictCase('TOKEN_EXPIRED', 'exp was a year ago', lifetime(-31_536_900, -31_536_000)),
    verdictCase('VALID', 'the lifetime is an hour', lifetime(0, 3_600)),
    verdictCase('TOKEN_INVALID', 'the lifetime is an hour and a second', lifetime(0, 3_601)),
    verdictCase('TOKEN_INVALID', 'exp is iat', lifetime(10, 10)),
    verdictCase('TOKEN_INVALID', 'exp is before iat', lifetime(10, 5)),
    verdictCase('TOKEN_INVALID', 'exp is missing', { token: userToken({ exp: undefined }) }),
    verdictCase('TOKEN_INVALID', 'exp is a text', { token: userToken({ exp: String(SECONDS + 840) }) }),
    verdictCase('TOKEN_INVALID', 'exp is a fraction', { token: userToken({ exp: SECONDS + 0.5 }) }),
    verdictCase('TOKEN_INVALID', 'iat is missing', { token: userToken({ iat: undefined }) }),
    verdictCase('TOKEN_INVALID', 'iat is null', { token: userToken({ iat: null }) }),
    verdictCase('TOKEN_INVALID', 'iat is in milliseconds', { token: userToken({ iat: SECONDS * 1000 }) }),
  ];
}

function audienceCases(): VerdictCase[] {
  const expired = userToken({ iat: SECONDS - 900, exp: SECONDS });
  return [
    verdictCase('VALID', 'the audience is the first of the token', { audience: 'latchkey' }),
    verdictCase('VALID', 'the audience is the second of the token', { audience: 'shop' }),
    verdictCase('AUDIENCE_MISMATCH', 'the audience is none of the token', { audience: 'warehouse' }),
    verdictCase('AUDIENCE_MISMATCH', 'the audience is the begin of one of the token', { audience: 'sho' }),
    verdictCase('AUDIENCE_MISMATCH', 'the audience is in upper case', { audience: 'SHOP' }),
    verdictCase('AUDIENCE_MISMATCH', 'the audience is both of the token in one text', { audience: 'latchkey shop' }),
    verdictCase('TOKEN_EXPIRED', 'expired, and of another audience', { token: expired, audience: 'warehouse' }),
    verdictCase('AUDIENCE_MISMATCH', 'the audience of a service is another one', {
      token: serviceToken(),
      audience: 'shop',
    }),
  ];
}
