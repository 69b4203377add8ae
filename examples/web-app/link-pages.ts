// The pages behind the links of mails: set PUBLIC_URL of Latchkey to the address of this application. Opening a link
// changes nothing; the button does.
import { type Html, html } from './html.ts';
import { field, type Page, problemIn, show, type Visit } from './pages.ts';
import { problemOf } from './problems.ts';
import { cookieValue } from './sessions.ts';
import { BINDING } from './sign-in-pages.ts';

type LinkPage = {
  title: string;
  inputs: Html;
  button: string;
  done: string;
  send(visit: Visit, token: string): Promise<unknown>;
};

const NONE: Html = html``;

const LINKS: Record<string, LinkPage> = {
  '/reset-password': {
    title: 'Set a new password',
    inputs: html`<label>New password <input type="password" name="password" autocomplete="new-password" minlength="8" required></label>`,
    button: 'Set the password',
    done: 'The password is set, and all devices are signed out. Sign in with it.',
    send: ({ clients, user, form }, resetToken) =>
      clients.forUser(user).auth.confirmReset({ resetToken, newPassword: field(form, 'password') }),
  },
  '/verify-email': {
    title: 'Confirm your address',
    inputs: html`<label>Password, unless you are signed in <input type="password" name="password" autocomplete="current-password"></label>`,
    button: 'Confirm the address',
    done: 'The address is confirmed.',
    // Any of the three proves that the account is yours: the session, the browser that opened the account, the password.
    async send(visit, verificationToken) {
      const session = await visit.sessions.find(visit);
      const calls = session?.calls ?? visit.clients.forUser(visit.user);
      const binding = cookieValue(visit.request, BINDING);
      await calls.auth.verifyEmail({ verificationToken, password: field(visit.form, 'password'), binding });
    },
  },
  '/confirm-network': {
    title: 'Allow sign-ins from here',
    inputs: NONE,
    button: 'Allow sign-ins from here',
    done: 'Sign in from here with your password.',
    send: ({ clients, user }, networkToken) => clients.forUser(user).auth.confirmNetwork({ networkToken }),
  },
  '/undo-email-change': {
    title: 'Keep your address',
    inputs: NONE,
    button: 'Keep my address',
    done: 'Your account keeps this address, and all devices are signed out. We sent a link to set a new password.',
    send: ({ clients, user }, undoToken) => clients.forUser(user).auth.undoEmailChange({ undoToken }),
  },
};

export const linkPages: Record<string, Page> = {
  ...Object.fromEntries(Object.entries(LINKS).flatMap(([path, link]) => pagesOf(path, link))),

  async 'GET /forgot-password'(visit) {
    showForgotten(visit, '');
  },

  /** The answer is the same for an address without an account. */
  async 'POST /forgot-password'(visit) {
    const { clients, user, form } = visit;
    try {
      await clients.forUser(user).auth.requestReset({ email: field(form, 'email') });
      showForgotten(visit, 'If there is an account with this address, we sent a link to it.');
    } catch (error) {
      showForgotten(visit, problemOf(error));
    }
  },
};

function pagesOf(path: string, link: LinkPage): [string, Page][] {
  const showForm = (visit: Visit, problem: string) =>
    show(
      visit,
      link.title,
      html`${problemIn(problem)}<form method="post" action="${path}">
<input type="hidden" name="token" value="${field(visit.form, 'token')}">${link.inputs}<button>${link.button}</button></form>`,
    );
  return [
    [`GET ${path}`, async (visit) => showForm(visit, '')],
    [
      `POST ${path}`,
      async (visit) => {
        try {
          await link.send(visit, field(visit.form, 'token'));
          show(visit, link.title, html`<p id="done">${link.done}</p><a href="/">Continue</a>`);
        } catch (error) {
          showForm(visit, problemOf(error));
        }
      },
    ],
  ];
}

function showForgotten(visit: Visit, notice: string): void {
  show(
    visit,
    'Set a new password',
    html`${problemIn(notice)}<form method="post" action="/forgot-password">
<label>Email <input type="email" name="email" autocomplete="username" required></label>
<button>Send me a link</button></form><a href="/sign-in">Sign in</a>`,
  );
}
