import { edDsa, encode, headerOf, signed, signedParts, USER_CLAIMS, userToken } from '../tokens.ts';
import { type VerdictCase, verdictCase } from '../verdict-case.ts';

const HEADER = headerOf(edDsa);
const PAYLOAD = JSON.stringify(USER_CLAIMS);
const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
/** One above the longest token. */
const TOO_LONG = 4_609;

export function formCases(): VerdictCase[] {
  return [...Object.entries(textForms()), ...Object.entries(headerForms()), ...Object.entries(payloadForms())].map(
    ([name, token]) => verdictCase('TOKEN_INVALID', name, { token }),
  );
}

function textForms(): Record<string, string> {
  const valid = userToken();
  const [header = '', payload = '', signature = ''] = valid.split('.');
  return {
    'an empty text': '',
    'two dots alone': '..',
    'one part': header,
    'two parts': `${header}.${payload}`,
    'two parts and a dot': `${header}.${payload}.`,
    'four parts': `${valid}.${signature}`,
    'a dot at the end': `${valid}.`,
    'a dot at the begin': `.${valid}`,
    'an empty header': `.${payload}.${signature}`,
    'an empty payload': signedParts(header, '', edDsa),
    'a space at the begin': ` ${valid}`,
    'a space at the end': `${valid} `,
    'a line break at the end': `${valid}\n`,
    'a line break in the payload': signedParts(header, `${payload.slice(0, 8)}\n${payload.slice(8)}`, edDsa),
    'a NUL at the end': `${valid}\0`,
    'the scheme in front': `Bearer ${valid}`,
    'padding after the signature': `${valid}==`,
    'padding after the payload': signedParts(header, `${payload}${'='.repeat(4 - (payload.length % 4))}`, edDsa),
    'the alphabet of base64 in the signature': withOtherAlphabet(),
    'unused bits that are set in the signature': `${valid.slice(0, -1)}${withUnusedBit(valid.at(-1) ?? '')}`,
    'unused bits that are set in a signed payload': unusedBitsInPayload(header),
    'a character outside of ASCII': `${valid.slice(0, -1)}é`,
    'a full-width letter that NFKC would fold': `${valid.slice(0, -1)}Ａ`,
    'a token that is too long': tooLong(),
    'a signature of another token beside a valid header': `${header}.${encode('{}')}.${signature}`,
  };
}

/** A valid token whose signature has one of the two characters in which the alphabets differ. */
function withOtherAlphabet(): string {
  for (let epoch = 3; ; epoch += 1) {
    const parts = userToken({ epoch }).split('.');
    const signature = parts[2] ?? '';
    if (/[-_]/.test(signature)) {
      return [parts[0], parts[1], signature.replaceAll('-', '+').replaceAll('_', '/')].join('.');
    }
  }
}

function withUnusedBit(character: string): string {
  return BASE64URL.charAt(BASE64URL.indexOf(character) | 1);
}

function unusedBitsInPayload(header: string): string {
  // The payload must end in a character with unused bits.
  const payload = ['', 'x', 'xx']
    .map((suffix) => encode(JSON.stringify({ ...USER_CLAIMS, email: `ada${suffix}@example.com` })))
    .find((text) => text.length % 4 !== 0) as string;
  return signedParts(header, `${payload.slice(0, -1)}${withUnusedBit(payload.slice(-1))}`, edDsa);
}

function tooLong(): string {
  const lengthOf = (roles: string[]) => userToken({ roles }).length;
  const roles = ['user'];
  while (lengthOf(roles) < TOO_LONG) roles.push(`team.${roles.length}`);
  return userToken({ roles });
}

function headerForms(): Record<string, string> {
  const { kid } = edDsa;
  const by = (header: string) => signed(header, PAYLOAD, edDsa);
  const members = (value: object) => by(JSON.stringify(value));
  return {
    'the header has another order': members({ typ: 'at+jwt', alg: 'EdDSA', kid }),
    'the header has a space': by(HEADER.replace(':', ': ')),
    'the header has a second alg': by(HEADER.replace('{', '{"alg":"none",')),
    'the header has crit': members({ alg: 'EdDSA', kid, typ: 'at+jwt', crit: ['exp'] }),
    'the header has jku': members({ alg: 'EdDSA', kid, typ: 'at+jwt', jku: 'https://attacker.example/jwks' }),
    'the header has x5u': members({ alg: 'EdDSA', kid, typ: 'at+jwt', x5u: 'https://attacker.example/x5u' }),
    'the header has jwk': members({ alg: 'EdDSA', kid, typ: 'at+jwt', jwk: { kty: 'OKP' } }),
    'the header has no kid': members({ alg: 'EdDSA', typ: 'at+jwt' }),
    'the header has an empty kid': members({ alg: 'EdDSA', kid: '', typ: 'at+jwt' }),
    'the header has no alg': members({ kid, typ: 'at+jwt' }),
    'the header has no typ': members({ alg: 'EdDSA', kid }),
    'the header has typ JWT': members({ alg: 'EdDSA', kid, typ: 'JWT' }),
    'the header has typ in upper case': members({ alg: 'EdDSA', kid, typ: 'AT+JWT' }),
    'the header has typ application/at+jwt': members({ alg: 'EdDSA', kid, typ: 'application/at+jwt' }),
    'the header is no JSON': by('at+jwt'),
    'the header is a list': by(`[${HEADER}]`),
    'the header ends with a line break': by(`${HEADER}\n`),
  };
}

function payloadForms(): Record<string, string> {
  const of = (payload: string | Buffer) => signed(HEADER, payload, edDsa);
  return {
    'the payload is no JSON': of('claims'),
    'the payload is null': of('null'),
    'the payload is a number': of('1'),
    'the payload is a text': of('"claims"'),
    'the payload is a list': of(`[${PAYLOAD}]`),
    'the payload is an empty object': of('{}'),
    'the payload is followed by a second object': of(`${PAYLOAD}{}`),
    'the payload is followed by a letter': of(`${PAYLOAD}x`),
    'the payload has sub twice': of(PAYLOAD.replace('{', '{"sub":"018f6b2e-0000-7000-8000-0000000000ff",')),
    'the payload has exp twice': of(PAYLOAD.replace(/\}$/, ',"exp":1800000900}')),
    'the payload has roles twice': of(PAYLOAD.replace(/\}$/, ',"roles":["admin"]}')),
    'the payload has epoch twice, once with an escape': of(PAYLOAD.replace(/\}$/, ',"epo\\u0063h":9}')),
    'the payload is not UTF-8': of(Buffer.from(PAYLOAD.replace('ada@', '\xe4da@'), 'latin1')),
    'the payload begins with a byte order mark': of(`\uFEFF${PAYLOAD}`),
    'the payload has NaN as epoch': of(PAYLOAD.replace('"epoch":3', '"epoch":NaN')),
  };
}
