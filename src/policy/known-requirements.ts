import type { StatedRequirement } from './route-requirement.ts';

/** Gateways have few routes, and state the requirement of a route with each of its requests. */
const MAX_KNOWN = 1_000;
/** Longer ones are parsed each time, so that the memory is bounded. */
const MAX_CHARACTERS = 1_024;

/** Parses each text once. A text that makes `parse` throw is parsed each time. */
export function rememberRequirements(parse: (text: string) => StatedRequirement): (text: string) => StatedRequirement {
  const known = new Map<string, StatedRequirement>();
  return (text) => {
    const found = known.get(text);
    if (found) return found;
    const stated = parse(text);
    if (text.length > MAX_CHARACTERS) return stated;
    if (known.size === MAX_KNOWN) known.clear();
    known.set(text, stated);
    return stated;
  };
}
