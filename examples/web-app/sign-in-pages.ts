// Sign-up, and sign-in: the password and a second step, or a passkey alone.
import { type Clients, reasonOf } from '@latchkey/client';
import { html } from './html.ts';
import { field, type Page, problemIn, redirect, returnPath, show, type Visit } from './pages.ts';
import { problemOf } from './problems.ts';
import { proofIn, recoveryCodes, type Step, stepForms, stepIn, stepOf } from './second-step.ts';
import { setCookie } from './sessions.ts';

type FirstStep = Awaited<ReturnType<Clients['auth']['login']>>;

/** VerifyEmail accepts it as proof that this browser opened the account. */
export const BINDING = '__Host-binding';

export const signInPages: Record<string, Page> = {
  async 'GET /sign-up'(visit) {
    showSignUp(visit, '');
  },

  async 'POST /sign-up'(visit) {
    const { clients, form, user, response } = visit;
    const { auth } = clients.forUser(user);
    const [email, password, fullName] = [field(form, 'email'), field(form, 'password'), field(form, 'name')];
    try {
      const { binding } = await auth.register({ email, password, fullName });
      setCookie(response, BINDING, binding, inAnHour());
      await auth.requestEmailVerification({ email });
      startSession(visit, await auth.login({ email, password }));
    } catch (error) {
      showSignUp(visit, problemOf(error));
    }
  },

  async 'GET /sign-in'(visit) {
    showSignIn(visit, '');
  },

  async 'POST /sign-in'(visit) {
    const { clients, form, user } = visit;
    try {
      const credentials = { email: field(form, 'email'), password: field(form, 'password') };
      startSession(visit, await clients.forUser(user).auth.login(credentials));
    } catch (error) {
      showSignIn(visit, problemOf(error));
    }
  },

  /** The passkey identifies the account. */
  async 'POST /sign-in/passkey'(visit) {
    try {
      const { challenge } = await visit.clients.forUser(visit.user).auth.startPasskeySignIn({});
      showSecondStep(visit, stepOf(challenge), '');
    } catch (error) {
      showSignIn(visit, problemOf(error));
    }
  },

  async 'POST /sign-in/finish'(visit) {
    const { clients, form, user } = visit;
    const step = stepIn(form);
    try {
      const newPasskey = form.get('new-passkey');
      const proof = newPasskey ? { case: 'passkeyRegistration' as const, value: newPasskey } : proofIn(form);
      const finished = await clients.forUser(user).auth.finishSignIn({ challengeId: step.id, proof });
      visit.sessions.start(visit, finished.tokens);
      if (finished.recoveryCodes.length === 0) return redirect(visit, returnPath(form.get('return')));
      show(visit, 'Your recovery codes', recoveryCodes(finished.recoveryCodes));
    } catch (error) {
      const problem = problemOf(error);
      // The challenge stays valid after a wrong code, and only then. After five of them it accepts a passkey only.
      if (reasonOf(error) === 'FACTOR_INVALID') showSecondStep(visit, step, problem);
      else showSignIn(visit, problem);
    }
  },
};

function startSession(visit: Visit, { tokens, challenge, factorRequiredAt }: FirstStep): void {
  visit.sessions.start(visit, tokens);
  if (challenge) showSecondStep(visit, stepOf(challenge), '');
  else redirect(visit, factorRequiredAt ? '/security?required=soon' : returnOf(visit));
}

function showSignUp(visit: Visit, problem: string): void {
  show(
    visit,
    'Create an account',
    html`${problemIn(problem)}<form method="post" action="/sign-up">
<label>Name <input name="name" value="${field(visit.form, 'name')}" autocomplete="name" required></label>
<label>Email <input type="email" name="email" value="${field(visit.form, 'email')}" autocomplete="username" required></label>
<label>Password <input type="password" name="password" autocomplete="new-password" minlength="8" required></label>
<button>Create the account</button></form><a href="/sign-in">Sign in</a>`,
  );
}

function showSignIn(visit: Visit, problem: string): void {
  const returnTo = html`<input type="hidden" name="return" value="${returnOf(visit)}">`;
  show(
    visit,
    'Sign in',
    html`${problemIn(problem)}<form method="post" action="/sign-in">${returnTo}
<label>Email <input type="email" name="email" value="${field(visit.form, 'email')}" autocomplete="username" required></label>
<label>Password <input type="password" name="password" autocomplete="current-password" required></label>
<button>Sign in</button></form>
<form method="post" action="/sign-in/passkey">${returnTo}<button>Sign in with a passkey</button></form>
<a href="/forgot-password">Forgot your password?</a> <a href="/sign-up">Create an account</a>`,
  );
}

function showSecondStep(visit: Visit, step: Step, problem: string): void {
  const [title, text] = step.totp
    ? ['Add a second factor', 'Your account requires a second factor. Add an authenticator app or a passkey.']
    : ['One more step', 'Confirm that it is you.'];
  const forms = stepForms(step, '/sign-in/finish', { return: returnOf(visit) });
  show(visit, title, html`${problemIn(problem)}<p>${text}</p>${forms}<a href="/sign-in">Start again</a>`);
}

function returnOf({ query, form }: Visit): string {
  return returnPath(query.get('return') ?? form.get('return'));
}

function inAnHour() {
  return {
    $typeName: 'google.protobuf.Timestamp' as const,
    seconds: BigInt(Math.floor(Date.now() / 1000) + 3600),
    nanos: 0,
  };
}
