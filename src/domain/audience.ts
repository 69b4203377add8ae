import { InvalidValue } from './parse-fields.ts';

/** Latchkey's own APIs require it in every access token. */
export const OWN_AUDIENCE = 'latchkey';

/** Null for all audiences of the deployment. */
export type AudienceChoice = string[] | null;

/** @param chosen empty for all. @throws InvalidValue */
export function parseAudiences(chosen: string[], all: string[]): AudienceChoice {
  if (chosen.length === 0) return null;
  if (!chosen.every((one) => all.includes(one)))
    throw new InvalidValue('must hold only audiences of this deployment, and of the session');
  return all.filter((one) => chosen.includes(one));
}

export function chosenAudiences(choice: AudienceChoice, all: string[]): string[] {
  return choice ? all.filter((one) => choice.includes(one)) : all;
}
