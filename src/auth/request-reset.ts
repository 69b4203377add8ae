import type { Call } from '../domain/call.ts';
import { type RequestMailDeps, type RequestMailInput, requestMail } from './request-mail.ts';

const RESET = {
  template: 'password-reset',
  auditAs: 'reset_requested',
  mailboxLimit: 'REQUEST_RESET_ACCOUNT',
  networkLimit: 'REQUEST_RESET_NETWORK',
} as const;

export function requestReset(deps: RequestMailDeps, input: RequestMailInput, call: Call): Promise<void> {
  return requestMail(deps, RESET, input, call);
}
