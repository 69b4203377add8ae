import { parseFields } from '../domain/parse-fields.ts';
import { CeremonyFailed } from '../factors/ceremony.ts';

/**
 * For the error of a ceremony.
 * @param field of the response in the request
 * @returns the cause, for the log and the audit trail
 * @throws AuthError INVALID_ARGUMENT for a text that is no response of a passkey
 */
export function ceremonyCause(field: string, error: unknown): string {
  const { [field]: cause } = parseFields({
    [field]: () => {
      if (!(error instanceof CeremonyFailed)) throw error;
      return error.cause;
    },
  });
  return cause as string;
}
