// Actions that a stolen session must not perform. Latchkey answers REAUTHENTICATION_REQUIRED, the user proves to be
// present, and the same request is repeated: the forms of the proof carry the fields of the first form.
import { reasonOf } from '@latchkey/client';
import { html } from './html.ts';
import { type Page, problemIn, requireSession, show, type Visit } from './pages.ts';
import { problemOf } from './problems.ts';
import { hidden, proofIn, STEP_FIELDS, type Step, stepForms, stepIn, stepOf } from './second-step.ts';
import type { SignedIn } from './sessions.ts';

/** @param action throws the error of its call. It must not use the field `password`. */
export function confirmed(path: string, action: (visit: Visit, session: SignedIn) => Promise<void>): Page {
  return async (visit) => {
    const session = await requireSession(visit);
    if (!session) return;
    const { form } = visit;
    const isProven = form.has('challenge') || form.has('password');
    const current = isProven ? await prove(visit, session, path) : session;
    if (!current) return;
    try {
      await action(visit, current);
    } catch (error) {
      if (reasonOf(error) === 'REAUTHENTICATION_REQUIRED') await askForProof(visit, current, path, '');
      else show(visit, 'That did not work', html`${problemIn(problemOf(error))}<a href="/">Home</a>`);
    }
  };
}

/** The session with the tokens of the proof. Null when the page asks again. */
async function prove(visit: Visit, session: SignedIn, path: string): Promise<SignedIn | null> {
  const { form, sessions } = visit;
  const { account } = session.calls;
  try {
    const { tokens } = form.has('challenge')
      ? await account.finishStepUp({ challengeId: stepIn(form).id, proof: proofIn(form) })
      : await account.reauthenticate({ currentPassword: form.get('password') ?? '' });
    return sessions.replace(visit, tokens);
  } catch (error) {
    const problem = problemOf(error);
    if (reasonOf(error) === 'FACTOR_INVALID') showStep(visit, stepIn(form), path, problem);
    else await askForProof(visit, session, path, problem);
    return null;
  }
}

/** A second factor where the account has one, and otherwise the password. */
async function askForProof(visit: Visit, { calls }: SignedIn, path: string, problem: string): Promise<void> {
  try {
    const { challenge } = await calls.account.startStepUp({});
    showStep(visit, stepOf(challenge), path, problem);
  } catch (error) {
    if (reasonOf(error) !== 'FACTOR_MISSING') throw error;
    show(
      visit,
      TITLE,
      html`${problemIn(problem)}<form method="post" action="${path}">${hidden(carried(visit))}
<label>Current password <input type="password" name="password" autocomplete="current-password" required></label>
<button>Continue</button></form><a href="/security">Cancel</a>`,
    );
  }
}

const TITLE = 'Confirm that it is you';

function showStep(visit: Visit, step: Step, path: string, problem: string): void {
  const forms = stepForms(step, path, carried(visit));
  show(visit, TITLE, html`${problemIn(problem)}${forms}<a href="/security">Cancel</a>`);
}

function carried({ form }: Visit): Record<string, string> {
  return Object.fromEntries([...form].filter(([name]) => name !== 'password' && !STEP_FIELDS.includes(name)));
}
