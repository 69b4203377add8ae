// Every flaw of a response, and the cause of its rejection.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createAuthenticator, encodeCbor } from '../support/authenticator.ts';
import { enrolled, ORIGIN, RP, register, signIn, verdictOf } from '../support/ceremonies.ts';
import { assertionFlaws, registrationFlaws, TEXT_FLAWS } from '../support/passkey-flaws.ts';

const PAGE = { id: RP.id, origin: ORIGIN };

test.each(registrationFlaws(PAGE))('a registration with %s: %s', async (_, cause, flaw) => {
  expect(await verdictOf(register(createAuthenticator(), flaw))).toBe(cause);
});

test('a registration with trailing bytes after the attestation object: attestation', async () => {
  const ceremony = register(createAuthenticator(), {}, (response) =>
    changed(response, 'attestationObject', (bytes) => Buffer.concat([bytes, Buffer.from([0])])),
  );
  expect(await verdictOf(ceremony)).toBe('attestation');
});

test.each(assertionFlaws(PAGE))('a sign-in with %s: %s', async (_, cause, flaw) => {
  expect(await verdictOf(signIn(await enrolled(), flaw))).toBe(cause);
});

const parsed = (text: string) => JSON.parse(text) as Record<string, unknown>;

test.each(TEXT_FLAWS)('a response that is %s has an invalid form', async (_, change) => {
  expect(await verdictOf(register(createAuthenticator(), {}, change))).toBe('form');
  expect(await verdictOf(signIn(await enrolled(), {}, { change }))).toBe('form');
});

test('a response of 16 KiB, and members that a later standard may add, are accepted', async () => {
  const change = (text: string) => {
    const longer = JSON.stringify({ ...parsed(text), more: { nested: [1] } });
    return longer + ' '.repeat(16 * 1024 - longer.length);
  };
  expect(await verdictOf(register(createAuthenticator(), {}, change))).toBe('accepted');
  expect(await verdictOf(signIn(await enrolled(), {}, { change }))).toBe('accepted');
});

test('extensions of an assertion are accepted up to 1,024 bytes of authenticator data', async () => {
  const [dataBytes, headBytes] = [37, encodeCbor({ extension: Buffer.alloc(900) }).length - 900];
  const extensionsFor = (total: number) => encodeCbor({ extension: Buffer.alloc(total - dataBytes - headBytes) });
  const verdict = async (total: number) =>
    verdictOf(signIn(await enrolled(), { flags: { ed: true }, trailingBytes: extensionsFor(total) }));
  expect(await verdict(1_024)).toBe('accepted');
  expect(await verdict(1_025)).toBe('form');
});

test('an assertion cannot be used as a registration, nor a registration as an assertion', async () => {
  const { authenticator, passkey } = await enrolled();
  let [registration, assertion] = ['', ''];
  await register(createAuthenticator(), {}, (text) => (registration = text));
  await signIn({ authenticator, passkey }, {}, { change: (text) => (assertion = text) });
  expect(await verdictOf(register(createAuthenticator(), {}, () => assertion))).toBe('form');
  expect(await verdictOf(signIn({ authenticator, passkey }, {}, { change: () => registration }))).toBe('form');
});

const SIGNED = ['clientDataJSON', 'authenticatorData', 'signature'] as const;

test.each(['ES256', 'EdDSA', 'RS256'] as const)('no assertion by %s with a changed byte passes', async (algorithm) => {
  const enrolment = await enrolled({ algorithm });
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...SIGNED), fc.nat(), fc.integer({ min: 1, max: 255 }), async (part, at, mask) => {
      const change = (text: string) => changed(text, part, flip(at, mask));
      expect(await verdictOf(signIn(enrolment, {}, { change }))).not.toBe('accepted');
    }),
    { numRuns: 400 },
  );
});

test('no signature of ECDSA has a second form', async () => {
  const enrolment = await enrolled();
  for (let bit = 0; bit < 72 * 8; bit += 1) {
    const change = (text: string) => changed(text, 'signature', flip(Math.floor(bit / 8), 1 << (bit % 8)));
    expect(await verdictOf(signIn(enrolment, {}, { change })), `bit ${bit}`).toBe('signature');
  }
  const forms: [string, (bytes: Buffer) => Buffer][] = [
    ['a long length', (bytes) => Buffer.concat([Buffer.from([0x30, 0x81]), bytes.subarray(1)])],
    ['trailing bytes', (bytes) => Buffer.concat([bytes, Buffer.from([0])])],
    ['trailing bytes in the sequence', (bytes) => sequence(Buffer.concat([bytes.subarray(2), Buffer.from([5, 0])]))],
    ['a longer integer', (bytes) => sequence(longerInteger(bytes.subarray(2)))],
  ];
  for (const [name, form] of forms) {
    const change = (text: string) => changed(text, 'signature', form);
    expect(await verdictOf(signIn(enrolment, {}, { change })), name).toBe('signature');
  }
});

test.each(['ES256', 'EdDSA'] as const)('no self attestation by %s with a changed byte passes', async (algorithm) => {
  const parts = fc.constantFrom('clientDataJSON', 'attestationObject');
  await fc.assert(
    fc.asyncProperty(parts, fc.nat(), fc.integer({ min: 1, max: 255 }), async (part, at, mask) => {
      const change = (text: string) => changed(text, part, flip(at, mask));
      const ceremony = register(createAuthenticator({ algorithm }), { attestation: 'packed' }, change);
      expect(await verdictOf(ceremony)).not.toBe('accepted');
    }),
    { numRuns: 400 },
  );
});

test('any JSON is either rejected for its form or by a rule', async () => {
  const enrolment = await enrolled();
  await fc.assert(
    fc.asyncProperty(fc.json(), async (json) => {
      expect(await verdictOf(signIn(enrolment, {}, { change: () => json }))).toBe('form');
      expect(await verdictOf(register(createAuthenticator(), {}, () => json))).toBe('form');
    }),
  );
});

function changed(text: string, part: string, change: (bytes: Buffer) => Buffer): string {
  const credential = JSON.parse(text);
  credential.response[part] = change(Buffer.from(credential.response[part], 'base64url')).toString('base64url');
  return JSON.stringify(credential);
}

function flip(at: number, mask: number) {
  return (bytes: Buffer) => {
    bytes[at % bytes.length] = (bytes[at % bytes.length] as number) ^ mask;
    return bytes;
  };
}

function sequence(content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0x30, content.length]), content]);
}

function longerInteger([tag = 0, length = 0, ...rest]: Buffer): Buffer {
  return Buffer.from([tag, length + 1, 0, ...rest]);
}
