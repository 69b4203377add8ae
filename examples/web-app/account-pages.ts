// Sign-up, sign-in, the account, and a page that requires a role.
import { type Html, html } from './html.ts';
import { type Page, redirect, returnPath, Stop, show, type Visit } from './pages.ts';
import { problemOf } from './problems.ts';
import { type SignedIn, setCookie } from './sessions.ts';

/** VerifyEmail accepts it as proof that this browser opened the account. */
export const BINDING = '__Host-binding';
const ROLE_OF_STAFF = 'admin';

export const accountPages: Record<string, Page> = {
  async 'GET /'(visit) {
    const session = await visit.sessions.find(visit);
    if (session) return showHome(visit, session);
    show(visit, 'Welcome', html`<p><a href="/sign-in">Sign in</a> or <a href="/sign-up">create an account</a></p>`);
  },

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
      const { tokens } = await auth.login({ email, password });
      visit.sessions.start(visit, tokens);
      redirect(visit, '/');
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
      const { tokens } = await clients.forUser(user).auth.login(credentials);
      visit.sessions.start(visit, tokens);
      redirect(visit, returnPath(form.get('return')));
    } catch (error) {
      showSignIn(visit, problemOf(error));
    }
  },

  async 'POST /sign-out'(visit) {
    await visit.sessions.end(visit);
    redirect(visit, '/');
  },

  async 'GET /account'(visit) {
    const session = await requireSession(visit);
    if (session) await showAccount(visit, session, '');
  },

  async 'POST /account/email'(visit) {
    const session = await requireSession(visit);
    if (!session) return;
    try {
      const change = { newEmail: field(visit.form, 'email'), currentPassword: field(visit.form, 'password') };
      await session.calls.account.changeEmail(change);
      await showAccount(
        visit,
        session,
        `We sent a link to ${change.newEmail}. The address changes when you confirm it.`,
      );
    } catch (error) {
      await showAccount(visit, session, problemOf(error));
    }
  },

  async 'POST /account/verification'(visit) {
    const session = await requireSession(visit);
    if (!session) return;
    await session.calls.auth.requestEmailVerification({ email: session.principal.email });
    await showAccount(visit, session, `We sent a link to ${session.principal.email}.`);
  },

  async 'GET /staff'(visit) {
    const session = await requireSession(visit);
    if (!session) return;
    if (!session.principal.roles.includes(ROLE_OF_STAFF)) throw new Stop(403, 'This page is for our staff.');
    show(visit, 'For our staff', html`<p>Only users with the role ${ROLE_OF_STAFF} see this.</p>`);
  },

  /** For scripts: 401 instead of a redirect. */
  async 'GET /api/me'(visit) {
    const session = await visit.sessions.find(visit);
    const { userId, email, roles } = session?.principal ?? {};
    const body = session ? { userId, email, roles } : { error: 'sign in' };
    visit.response
      .writeHead(session ? 200 : 401, { 'content-type': 'application/json', 'cache-control': 'no-store' })
      .end(JSON.stringify(body));
  },
};

/** Leads a visitor to the sign-in page, and from there back. */
async function requireSession(visit: Visit): Promise<SignedIn | null> {
  const session = await visit.sessions.find(visit);
  // Only a page can be returned to, not the target of a form.
  const target = visit.request.method === 'GET' ? (visit.request.url ?? '/') : '/account';
  if (!session) redirect(visit, `/sign-in?return=${encodeURIComponent(target)}`);
  return session;
}

/** `principal.userId` is the key for your own data: the address can change. */
function showHome(visit: Visit, { principal }: SignedIn): void {
  show(
    visit,
    'Home',
    html`<p>Signed in as <b id="email">${principal.email}</b> with the roles <span id="roles"></span></p>
<p><a href="/account">Your account</a> <a href="/staff">For our staff</a></p>
<form method="post" action="/sign-out"><button>Sign out</button></form>`,
  );
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
  const returnTo = returnPath(visit.query.get('return') ?? visit.form.get('return'));
  show(
    visit,
    'Sign in',
    html`${problemIn(problem)}<form method="post" action="/sign-in">
<input type="hidden" name="return" value="${returnTo}">
<label>Email <input type="email" name="email" value="${field(visit.form, 'email')}" autocomplete="username" required></label>
<label>Password <input type="password" name="password" autocomplete="current-password" required></label>
<button>Sign in</button></form><a href="/forgot-password">Forgot your password?</a> <a href="/sign-up">Create an account</a>`,
  );
}

async function showAccount(visit: Visit, { calls }: SignedIn, notice: string): Promise<void> {
  const { user } = await calls.account.getMe({});
  const verification = user?.emailVerified
    ? html`<p>Your address is confirmed.</p>`
    : html`<form method="post" action="/account/verification"><button>Confirm my address</button></form>`;
  show(
    visit,
    'Your account',
    html`${problemIn(notice)}<p id="email">${user?.email ?? ''}</p>${verification}
<form method="post" action="/account/email">
<label>New address <input type="email" name="email" required></label>
<label>Current password <input type="password" name="password" autocomplete="current-password" required></label>
<button>Change the address</button></form><a href="/">Home</a>`,
  );
}

export function problemIn(text: string): Html {
  return html`<p id="problem" role="status">${text}</p>`;
}

export function field(form: URLSearchParams, name: string): string {
  return form.get(name) ?? '';
}

function inAnHour() {
  return {
    $typeName: 'google.protobuf.Timestamp' as const,
    seconds: BigInt(Math.floor(Date.now() / 1000) + 3600),
    nanos: 0,
  };
}
