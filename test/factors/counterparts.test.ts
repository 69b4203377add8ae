// Other implementations of second factors: oathtool of Debian, and libraries of the Python package index.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { uuidToBytes } from '../../src/domain/uuid.ts';
import { creationOptions, requestOptions, verifyAssertion, verifyRegistration } from '../../src/factors/passkeys.ts';
import { matchingTotpStep, newTotpSecret, totpSecretText, totpUri } from '../../src/factors/totp.ts';
import { ORIGIN, RP, USER } from '../support/ceremonies.ts';
import { codeOfOathtool } from '../support/oathtool.ts';
import { build, isAtHand } from '../support/toolchain.ts';

const STEP_MS = 30_000;
/** With the edges of steps. */
const TIMES = [0, 1, 15_000, 29_999, 30_000, 86_400_001].map((ms) => new Date(1_900_000_020_000 + ms));
const stepOf = (time: Date) => Math.floor(time.getTime() / STEP_MS);

test('a code of oathtool is accepted', async () => {
  const secret = newTotpSecret();
  for (const time of TIMES) {
    const code = await codeOfOathtool(totpSecretText(secret), time);
    expect(matchingTotpStep(secret, code, time)).toBe(stepOf(time));
  }
});

const PYTHON = {
  name: 'Python',
  folder: 'test/factors/python',
  probe: ['python3', '-c', 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))'],
  build: [
    ['python3', '-m', 'venv', '.venv'],
    ['.venv/bin/pip', 'install', '--quiet', '--require-hashes', '--requirement', 'requirements.txt'],
  ],
};

describe.skipIf(!(await isAtHand(PYTHON)))('a counterpart in Python', () => {
  let python: ChildProcessWithoutNullStreams;
  let answers: AsyncIterator<string>;

  beforeAll(async () => {
    await build(PYTHON);
    python = spawn('.venv/bin/python', ['counterpart.py'], { cwd: PYTHON.folder });
    answers = createInterface(python.stdout)[Symbol.asyncIterator]();
  }, 300_000);

  afterAll(async () => {
    const ended = once(python, 'close');
    python.stdin.end();
    await ended;
  });

  async function ask(command: object): Promise<string> {
    python.stdin.write(`${JSON.stringify(command)}\n`);
    return JSON.parse((await answers.next()).value);
  }

  test('pyotp reads the URI, and its codes are accepted', async () => {
    const secret = newTotpSecret();
    const uri = totpUri({ secret, issuer: 'Latchkey & Söhne', account: 'ada+1@example.com' });
    for (const time of TIMES) {
      const code = await ask({ do: 'totp', uri, seconds: Math.floor(time.getTime() / 1000) });
      expect(matchingTotpStep(secret, code, time)).toBe(stepOf(time));
    }
  });

  test('soft-webauthn registers a passkey and signs in with it', async () => {
    const creation = randomBytes(32);
    const options = creationOptions(RP, { ...USER, challenge: creation, excluded: [] });
    const registered = await ask({ do: 'create', options, origin: ORIGIN });
    const passkey = await verifyRegistration(RP, { response: registered, challenge: creation });
    expect(passkey).toMatchObject({ counter: 0, transports: [], backedUp: false, isUserVerified: false });
    for (let counter = 0; counter < 20; counter += 1) {
      const challenge = randomBytes(32);
      const request = requestOptions(RP, { challenge, allowed: [passkey], requiresUserVerification: false });
      const response = await ask({ do: 'get', options: request, origin: ORIGIN });
      const stored = { ...passkey, counter, userHandle: uuidToBytes(USER.userId) };
      const answer = await verifyAssertion(RP, {
        response,
        challenge,
        passkey: stored,
        requiresUserVerification: false,
        requiresUserHandle: true,
      });
      expect(answer).toEqual({ counter: counter + 1, isUserVerified: false, backedUp: false });
    }
  });
});
