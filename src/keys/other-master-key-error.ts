import { OperatorError } from '../process/operator-error.ts';

export function otherMasterKeyError(kids: string[]): OperatorError {
  return new OperatorError(
    `signing key ${kids.join(', ')} cannot be decrypted with this MASTER_KEY: it was encrypted under another one`,
  );
}
