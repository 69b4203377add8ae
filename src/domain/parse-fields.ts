import { AuthError, type Violation } from './auth-error.ts';

/** The message describes valid values and never repeats the invalid one. */
export class InvalidValue extends Error {}

/** For use as an expression. @throws InvalidValue */
export function invalid(description: string): never {
  throw new InvalidValue(description);
}

type Parsers = Record<string, () => unknown>;
type Parsed<P extends Parsers> = { [Field in keyof P]: ReturnType<P[Field]> };

/**
 * @param parsers by the field's name in the proto
 * @throws AuthError INVALID_ARGUMENT with one violation for each invalid field
 */
export function parseFields<P extends Parsers>(parsers: P): Parsed<P> {
  const parsed: Record<string, unknown> = {};
  const violations: Violation[] = [];
  for (const [field, parse] of Object.entries(parsers)) {
    try {
      parsed[field] = parse();
    } catch (error) {
      if (!(error instanceof InvalidValue)) throw error;
      violations.push({ field, description: error.message });
    }
  }
  if (violations.length > 0) throw new AuthError('INVALID_ARGUMENT', { violations });
  return parsed as Parsed<P>;
}
