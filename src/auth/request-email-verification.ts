import type { Call } from '../domain/call.ts';
import { type RequestMailDeps, type RequestMailInput, requestMail } from './request-mail.ts';

const VERIFICATION = {
  template: 'verify-email',
  auditAs: 'verification_requested',
  mailboxLimit: 'REQUEST_VERIFICATION_ACCOUNT',
  networkLimit: 'REQUEST_VERIFICATION_NETWORK',
} as const;

export function requestEmailVerification(deps: RequestMailDeps, input: RequestMailInput, call: Call): Promise<void> {
  return requestMail(deps, VERIFICATION, input, call);
}
