// The second factors of the account, and the deletion of the account.
import { type Factor, FactorKind } from '@latchkey/client/proto/types';
import { confirmed } from './confirm.ts';
import { type Html, html } from './html.ts';
import { field, type Page, problemIn, redirect, requireSession, show, type Visit } from './pages.ts';
import { problemOf } from './problems.ts';
import { codeForm, createForm, newApp, proofIn, recoveryCodes, type Step, stepIn, totpOf } from './second-step.ts';
import type { SignedIn } from './sessions.ts';

const NEW_APP = '/security/app/finish';
const NEW_PASSKEY = '/security/passkey/finish';

export const securityPages: Record<string, Page> = {
  async 'GET /security'(visit) {
    const session = await requireSession(visit);
    const notice = visit.query.has('required') ? 'Your account will soon require a second factor. Add one.' : '';
    if (session) await showFactors(visit, session, notice);
  },

  'POST /security/app': confirmed('/security/app', async (visit, { calls }) => {
    const { challengeId, totp } = await calls.account.startAddTotp({ name: field(visit.form, 'name') });
    showNewApp(visit, { ...NO_STEP, id: challengeId, totp: totpOf(totp) }, '');
  }),

  async [`POST ${NEW_APP}`](visit) {
    const session = await requireSession(visit);
    if (!session) return;
    const step = stepIn(visit.form);
    try {
      const code = { challengeId: step.id, totpCode: proofIn(visit.form).value };
      await showAdded(visit, await session.calls.account.finishAddTotp(code));
    } catch (error) {
      showNewApp(visit, step, problemOf(error));
    }
  },

  'POST /security/passkey': confirmed('/security/passkey', async (visit, { calls }) => {
    const { challengeId, creationOptions } = await calls.account.startAddPasskey({ name: field(visit.form, 'name') });
    showNewPasskey(visit, { ...NO_STEP, id: challengeId, creationOptions }, '');
  }),

  async [`POST ${NEW_PASSKEY}`](visit) {
    const session = await requireSession(visit);
    if (!session) return;
    const step = stepIn(visit.form);
    try {
      const passkeyRegistration = field(visit.form, 'new-passkey');
      const passkey = { challengeId: step.id, passkeyRegistration };
      await showAdded(visit, await session.calls.account.finishAddPasskey(passkey));
    } catch (error) {
      showNewPasskey(visit, step, problemOf(error));
    }
  },

  async 'POST /security/rename'(visit) {
    const session = await requireSession(visit);
    if (!session) return;
    const { form } = visit;
    try {
      await session.calls.account.renameFactor({ factorId: field(form, 'factor'), name: field(form, 'name') });
      redirect(visit, '/security');
    } catch (error) {
      await showFactors(visit, session, problemOf(error));
    }
  },

  'POST /security/remove': confirmed('/security/remove', async (visit, session) => {
    await session.calls.account.removeFactor({ factorId: field(visit.form, 'factor') });
    await showFactors(visit, session, 'The factor is removed. Other sessions that used it have ended.');
  }),

  'POST /security/recovery-codes': confirmed('/security/recovery-codes', async (visit, { calls }) => {
    const { recoveryCodes: codes } = await calls.account.regenerateRecoveryCodes({});
    show(visit, 'Your recovery codes', recoveryCodes(codes));
  }),

  'POST /account/delete': confirmed('/account/delete', async (visit, { calls }) => {
    await calls.account.deleteMe({});
    visit.sessions.forget(visit);
    show(visit, 'Good-bye', html`<p id="done">Your account is deleted.</p><a href="/">Continue</a>`);
  }),
};

const NO_STEP: Step = { id: '', kinds: [], requestOptions: '', totp: null, creationOptions: '' };

function showNewApp(visit: Visit, step: Step, problem: string): void {
  const shown = step.totp ? newApp(step.totp) : html``;
  const form = codeForm(NEW_APP, { challenge: JSON.stringify(step) });
  show(visit, 'Add an authenticator app', html`${problemIn(problem)}${shown}${form}<a href="/security">Cancel</a>`);
}

function showNewPasskey(visit: Visit, step: Step, problem: string): void {
  const form = createForm(step.creationOptions, NEW_PASSKEY, { challenge: JSON.stringify(step) });
  show(visit, 'Add a passkey', html`${problemIn(problem)}${form}<a href="/security">Cancel</a>`);
}

type Added = Awaited<ReturnType<SignedIn['calls']['account']['finishAddTotp' | 'finishAddPasskey']>>;

/** Recovery codes come with the first factor only. */
async function showAdded(visit: Visit, { tokens, recoveryCodes: codes }: Added): Promise<void> {
  visit.sessions.start(visit, tokens);
  if (codes.length === 0) return redirect(visit, '/security');
  show(visit, 'Your recovery codes', recoveryCodes(codes));
}

async function showFactors(visit: Visit, { calls }: SignedIn, notice: string): Promise<void> {
  const { factors, recoveryCodesLeft } = await calls.account.listFactors({});
  const codes = html`<p>You have <b id="recovery-codes-left">${String(recoveryCodesLeft)}</b> unused recovery codes.</p>
<form method="post" action="/security/recovery-codes"><button>New recovery codes</button></form>`;
  show(
    visit,
    'Second factors',
    html`${problemIn(notice)}${factors.map(factorForms)}${factors.length > 0 ? codes : html``}
<form method="post" action="/security/app"><button>Add an authenticator app</button></form>
<form method="post" action="/security/passkey"><button>Add a passkey</button></form>
<form method="post" action="/account/delete"><button>Delete my account</button></form><a href="/">Home</a>`,
  );
}

function factorForms({ id, kind, name, backedUp }: Factor): Html {
  const description = kind === FactorKind.TOTP ? 'authenticator app' : backedUp ? 'synced passkey' : 'passkey';
  return html`<section><h2>${name}</h2><p>${description}</p>
<form method="post" action="/security/rename"><input type="hidden" name="factor" value="${id}">
<label>Name <input name="name" value="${name}" required></label><button>Rename</button></form>
<form method="post" action="/security/remove"><input type="hidden" name="factor" value="${id}"><button>Remove</button></form></section>`;
}
