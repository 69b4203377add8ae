import { OperatorError } from '../process/operator-error.ts';

/** The value of --limit. @throws OperatorError */
export function parseLimit(text: string, { otherwise, most }: { otherwise: number; most: number }): number {
  const limit = text === '' ? otherwise : Number(text);
  if (Number.isInteger(limit) && limit >= 1 && limit <= most) return limit;
  throw new OperatorError(`--limit must be 1 to ${most}`);
}
