// The account, and a page that requires a role.
import { confirmed } from './confirm.ts';
import { html } from './html.ts';
import { field, type Page, problemIn, redirect, requireSession, Stop, show, type Visit } from './pages.ts';
import type { SignedIn } from './sessions.ts';

const ROLE_OF_STAFF = 'admin';

export const accountPages: Record<string, Page> = {
  async 'GET /'(visit) {
    const session = await visit.sessions.find(visit);
    if (session) return showHome(visit, session);
    show(visit, 'Welcome', html`<p><a href="/sign-in">Sign in</a> or <a href="/sign-up">create an account</a></p>`);
  },

  async 'POST /sign-out'(visit) {
    await visit.sessions.end(visit);
    redirect(visit, '/');
  },

  async 'GET /account'(visit) {
    const session = await requireSession(visit);
    if (session) await showAccount(visit, session, '');
  },

  'POST /account/email': confirmed('/account/email', async (visit, session) => {
    const newEmail = field(visit.form, 'email');
    await session.calls.account.changeEmail({ newEmail });
    await showAccount(visit, session, `We sent a link to ${newEmail}. The address changes when you confirm it.`);
  }),

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

/** `principal.userId` is the key for your own data: the address can change. */
function showHome(visit: Visit, { principal }: SignedIn): void {
  show(
    visit,
    'Home',
    html`<p>Signed in as <b id="email">${principal.email}</b> with the roles <span id="roles"></span></p>
<p><a href="/account">Your account</a> <a href="/security">Second factors</a> <a href="/staff">For our staff</a></p>
<form method="post" action="/sign-out"><button>Sign out</button></form>`,
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
<button>Change the address</button></form><a href="/security">Second factors</a> <a href="/">Home</a>`,
  );
}
