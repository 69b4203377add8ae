import { OperatorError } from '../process/operator-error.ts';

/** Returns null for an empty text. @param option the name of the option @throws OperatorError */
export function parseTime(option: string, text: string): Date | null {
  if (text === '') return null;
  const time = new Date(text);
  const year = time.getUTCFullYear();
  if (!(year >= 1 && year <= 9999)) throw new OperatorError(`${option} must be a time such as 2030-01-31T12:00:00Z`);
  return time;
}
