// The table of verdicts for the strength of an authentication, which every endpoint must give.
import { decodeJwt } from 'jose';
import { expect } from 'vitest';
import type { Acr } from '../../src/domain/acr.ts';
import type { TestApp } from './app.ts';
import { serviceAccount, serviceToken, signedIn } from './people.ts';
import { createResigner } from './strength-tokens.ts';

export type Requirement = { acr?: Acr; maxAge?: number; role?: string };

export const REQUIREMENTS: Requirement[] = [
  {},
  { acr: 'pwd' },
  { acr: 'mfa' },
  { acr: 'phr' },
  { maxAge: 600 },
  { acr: 'mfa', maxAge: 600 },
  { acr: 'phr', maxAge: 31_536_000 },
  { role: 'admin' },
  { acr: 'mfa', role: 'admin' },
  { maxAge: 600, role: 'user' },
];

/** A letter for each requirement, in the order of the list. Every caller has the role `user`. */
const VERDICTS = {
  'a password, 10 s ago': '. . S S . S S R S .',
  'two factors, 10 s ago': '. . . S . . S R R .',
  'a passkey, 10 s ago': '. . . . . . . R R .',
  'two factors, 700 s ago': '. . . S S S S R R S',
  'a passkey, 700 s ago': '. . . . S S . R R S',
  'a token of the release before': '. . S S S S S R S S',
  'a token of a service': '. P P P P P P R P P',
  'an API key': '. P P P P P P R P P',
};
const WORDS: Record<string, string> = {
  '.': 'ok',
  S: 'STEP_UP_REQUIRED',
  P: 'PERMISSION_DENIED',
  R: 'ROLE_NOT_GRANTED',
};

export type CallerName = keyof typeof VERDICTS;
const NAMES = Object.keys(VERDICTS) as CallerName[];
export const USERS = NAMES.filter((name) => !/service|API/.test(name));

/** The claims of strength, relative to the present time in seconds. */
function claimsOf(name: CallerName, nowSeconds: number) {
  const ageSeconds = Number(/(\d+) s ago/.exec(name)?.[1]);
  if (Number.isNaN(ageSeconds)) return { acr: undefined, amr: undefined, auth_time: undefined };
  const acr: Acr = name.startsWith('a passkey') ? 'phr' : name.startsWith('two') ? 'mfa' : 'pwd';
  return { acr, amr: ['pwd'], auth_time: nowSeconds - ageSeconds };
}

export type StrengthCallers = { tokens: Record<CallerName, string>; cookies: Partial<Record<CallerName, string>> };

export async function createCallers(app: TestApp): Promise<StrengthCallers> {
  const { accessToken } = await signedIn(app.call);
  const { resign, cookieOf } = await createResigner(app);
  const nowSeconds = decodeJwt(accessToken).iat ?? 0;
  const apiKey = await serviceAccount(app, 'billing', ['user']);
  const tokens = { 'an API key': apiKey, 'a token of a service': await serviceToken(app.call, apiKey) } as Record<
    CallerName,
    string
  >;
  const cookies: StrengthCallers['cookies'] = {};
  for (const name of USERS) {
    tokens[name] = await resign(accessToken, claimsOf(name, nowSeconds));
    cookies[name] = cookieOf(tokens[name]);
  }
  return { tokens, cookies };
}

/**
 * Compares the answers for each caller and requirement with the table.
 * @param ask returns `ok` or a reason
 * @param of leaves the other requirements out
 */
export async function expectTable(
  ask: (name: CallerName, requirement: Requirement, n: number) => Promise<string>,
  { names = NAMES, of = () => true }: { names?: CallerName[]; of?: (requirement: Requirement) => boolean } = {},
): Promise<void> {
  const [found, expected]: Record<string, string>[] = [{}, {}];
  for (const name of names) {
    const words = VERDICTS[name].split(' ').map((letter) => WORDS[letter] as string);
    for (const [n, requirement] of REQUIREMENTS.entries()) {
      if (!of(requirement)) continue;
      const key = `${name}: ${JSON.stringify(requirement)}`;
      Object.assign(expected as object, { [key]: words[n] });
      Object.assign(found as object, { [key]: await ask(name, requirement, n) });
    }
  }
  expect(found).toEqual(expected);
}
