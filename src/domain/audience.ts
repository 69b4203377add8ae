import { InvalidValue } from './parse-fields.ts';

/** Latchkey's own APIs accept no access token without it. */
export const OWN_AUDIENCE = 'latchkey';

/** The audiences that a caller asked for; null for all that the deployment has. */
export type AudienceChoice = string[] | null;

/**
 * @param asked empty for all
 * @param all the audiences of the deployment
 * @throws InvalidValue
 */
export function parseAudiences(asked: string[], all: string[]): AudienceChoice {
  if (asked.length === 0) return null;
  if (!asked.every((one) => all.includes(one)))
    throw new InvalidValue('must hold only audiences of this deployment, and of the session');
  return all.filter((one) => asked.includes(one));
}

/** `aud` of a token. Empty when the deployment no longer has any of the chosen ones. */
export function chosenAudiences(choice: AudienceChoice, all: string[]): string[] {
  return choice ? all.filter((one) => choice.includes(one)) : all;
}
