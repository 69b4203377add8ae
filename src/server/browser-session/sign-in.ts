import { login } from '../../auth/login.ts';
import { AuthError } from '../../domain/auth-error.ts';
import { giveSession, offerSignInStep } from './second-step.ts';
import { sendPage, signInPage } from './session-pages.ts';
import type { SessionRequest } from './session-request.ts';
import { showRejection, type Visit } from './visit.ts';

export async function showSignIn(visit: Visit, { returnTo }: SessionRequest): Promise<void> {
  sendPage(visit.response, 200, signInPage({ returnTo, offersPasskeys: offersPasskeys(visit) }));
}

export async function signIn(visit: Visit, request: SessionRequest): Promise<void> {
  const { fields, returnTo, isPage } = request;
  const { email = '', password = '' } = fields;
  try {
    const step = await login(visit.deps, { email, password, audiences: [] }, visit.call);
    if (step.challenge) offerSignInStep(visit, request, step.challenge);
    else await giveSession(visit, request, step);
  } catch (error) {
    if (!isPage || !(error instanceof AuthError)) throw error;
    const form = { returnTo, email, offersPasskeys: offersPasskeys(visit) };
    showRejection(visit, error, (message) => signInPage({ ...form, message }));
  }
}

/** Passkeys belong to the pages of WEBAUTHN_ORIGINS. */
function offersPasskeys({ settings, deps }: Visit): boolean {
  return settings.origins.some((origin) => deps.relyingParty.origins.includes(origin));
}
