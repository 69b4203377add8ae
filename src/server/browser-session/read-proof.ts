import type { FinishSignInRequest } from '../../../gen/latchkey/auth/v1/auth_service_pb.ts';
import type { SignInProof } from '../../auth/finish-sign-in.ts';
import { AuthError } from '../../domain/auth-error.ts';
import type { Proof } from '../../domain/factor.ts';
import { proofOf } from '../rpc/factor-messages.ts';

type Field = NonNullable<FinishSignInRequest['proof']['case']>;

const FIELDS: Field[] = ['totpCode', 'recoveryCode', 'passkeyAssertion', 'passkeyRegistration'];

/** @throws AuthError INVALID_ARGUMENT unless exactly one of the fields has a proof */
export function readSignInProof(fields: Record<string, string>): SignInProof {
  const [name, ...others] = FIELDS.filter((field) => fields[field] !== undefined);
  if (name === undefined || others.length > 0) return proofOf({ case: undefined });
  const text = fields[name] ?? '';
  // Authenticator apps show a code in two groups, and users type it so.
  return proofOf({ case: name, value: name === 'totpCode' ? text.replaceAll(/\s/g, '') : text });
}

/** A step-up adds no factor. @throws AuthError INVALID_ARGUMENT */
export function readStepUpProof(fields: Record<string, string>): Proof {
  const { kind, text } = readSignInProof(fields);
  if (kind === 'passkey_registration') {
    const description = 'must be totp_code, recovery_code or passkey_assertion';
    throw new AuthError('INVALID_ARGUMENT', { violations: [{ field: 'proof', description }] });
  }
  return { kind, text };
}
