// The endpoints of browser sessions below /session/: sign-in, step-up, renewal and sign-out. A gateway serves them on the
// origin of the application, so that the cookies belong to it. They answer pages with redirects and scripts with JSON.
import { refresh } from '../../auth/refresh.ts';
import type { Deps } from '../../deps.ts';
import { AuthError } from '../../domain/auth-error.ts';
import { isFromOwnPage, isPageRequest } from '../../domain/browser-request.ts';
import type { Reason } from '../../domain/error-reason.ts';
import type { Tokens } from '../../domain/tokens.ts';
import type { CallLog } from '../calls/call-log.ts';
import { type CallDeps, type CallRecord, openCallRecord, runCall, slotHolder } from '../calls/call-record.ts';
import { answerError } from '../calls/errors.ts';
import { holdUntilRead } from '../calls/fair-slots.ts';
import { sendHttpError, setRetryAfter } from '../calls/write-error.ts';
import { type Handler, sendJson } from '../transport/handler.ts';
import { finishSecondStep, startPasskey } from './second-step.ts';
import { clearSessionCookies, SESSION_PATH } from './session-cookies.ts';
import { errorPage, sendPage, signOutPage } from './session-pages.ts';
import { callOf, readBody, readQuery, type SessionRequest } from './session-request.ts';
import { showSignIn, signIn } from './sign-in.ts';
import { stepUp } from './step-up.ts';
import {
  type BrowserSessionDeps,
  giveCookies,
  leaveCurrentSession,
  redirect,
  redirectToSignIn,
  refreshCookieOf,
  statusOf,
  textForUsers,
  type Visit,
} from './visit.ts';

type Endpoint = (visit: Visit, request: SessionRequest) => Promise<void>;

/** By method and path. */
const ENDPOINTS: Record<string, Endpoint> = {
  'GET sign-in': showSignIn,
  'POST sign-in': signIn,
  'POST passkey': startPasskey,
  'POST second-step': finishSecondStep,
  'GET step-up': stepUp,
  'POST step-up': stepUp,
  'GET renew': renewPage,
  'POST renew': renewSession,
  'GET sign-out': showSignOut,
  'POST sign-out': signOut,
};
const PATHS = [...new Set(Object.keys(ENDPOINTS).map((key) => key.split(' ')[1] as string))];

/** The user must sign in again. Every other error of a renewal leaves the session as it was. */
const ENDED: Reason[] = [
  'REFRESH_TOKEN_INVALID',
  'REFRESH_TOKEN_REUSED',
  'SESSION_EXPIRED',
  'SESSION_ENDED',
  'AUDIENCES_REMOVED',
];

export function createBrowserSessionHandler(
  deps: BrowserSessionDeps & CallDeps & Pick<Deps, 'browserSessions'>,
  callLog: CallLog,
): Handler {
  const settings = deps.browserSessions;
  if (!settings) return () => false;
  return (request, response) => {
    const { path } = request;
    const name = path.startsWith(SESSION_PATH) ? path.slice(SESSION_PATH.length) : '';
    if (!PATHS.includes(name)) return false;
    const method = request.method === 'HEAD' ? 'GET' : request.method;
    const endpoint = ENDPOINTS[`${method} ${name}`];
    const record = openCallRecord(request, deps, `session/${name}`, 'http');
    response.setHeader('x-request-id', record.requestId);
    request.onceClosed(() => callLog.write(record, response.isSent));
    response.setHeader('cache-control', 'no-store');
    const visit = { deps, settings, request, response, call: callOf(record, request.signal) };
    if (!endpoint) return rejectMethod(visit, record, name);
    runCall(record, () => serve(visit, endpoint, record)).finally(() =>
      holdUntilRead(deps.unread, slotHolder(record), request),
    );
    return true;
  };
}

function rejectMethod(visit: Visit, record: CallRecord, name: string): true {
  const { request, response } = visit;
  request.discard();
  if (isPageRequest(request.method, (field) => request.headers.get(field))) {
    // The answer to a form stood at this path, and the user loads it again.
    record.code = 'ok';
    redirectToSignIn(visit, '/');
    return true;
  }
  record.code = 'unimplemented';
  response.setHeader('allow', `GET ${name}` in ENDPOINTS ? 'GET, HEAD, POST' : 'POST');
  sendJson(response, 405, { error: 'method not allowed' });
  return true;
}

async function serve(visit: Visit, endpoint: Endpoint, record: CallRecord): Promise<void> {
  const { deps, settings, request, call } = visit;
  const isPost = request.method === 'POST';
  let isPage = !isPost;
  try {
    if (isPost && !isFromOwnPage((name) => request.headers.get(name), settings.origins)) {
      throw new AuthError('CROSS_SITE_REQUEST');
    }
    if (!isPost) request.discard();
    const read = isPost ? await readBody(deps, request, record, call) : readQuery(request);
    isPage = read.isPage;
    const release = deps.concurrencyLimit.acquire(record.address);
    await endpoint(visit, read).finally(release);
    record.code = 'ok';
  } catch (error) {
    reject(visit, error, record, isPage);
  }
}

function reject({ response }: Visit, error: unknown, record: CallRecord, isPage: boolean): void {
  const failure = answerError(error, record);
  if (!isPage) {
    sendHttpError(response, failure);
    return;
  }
  setRetryAfter(response, failure);
  sendPage(response, statusOf(record.reason), errorPage(textForUsers(record.reason, failure.rawMessage)));
}

async function showSignOut({ response }: Visit, { returnTo }: SessionRequest): Promise<void> {
  sendPage(response, 200, signOutPage(returnTo));
}

/** A script renews in the background. `refreshToken` starts a session that was opened elsewhere, as by FinishOAuth. */
async function renewSession(visit: Visit, { fields, returnTo, isPage }: SessionRequest): Promise<void> {
  const { response, settings } = visit;
  try {
    const tokens = await renew(visit, fields.refreshToken ?? refreshCookieOf(visit));
    giveCookies(visit, tokens);
    if (isPage) redirect(visit, returnTo);
    else sendJson(response, 200, { expiresAt: tokens.expiresAt.toISOString() });
  } catch (error) {
    if (hasEnded(error)) clearSessionCookies(response, settings.isSecure);
    throw error;
  }
}

/** The gateway sends the browser here when a page requires a session. Rotation by GET harms no user. */
async function renewPage(visit: Visit, { returnTo }: SessionRequest): Promise<void> {
  const { response, settings } = visit;
  const refreshToken = refreshCookieOf(visit);
  try {
    if (refreshToken === '') return redirectToSignIn(visit, returnTo);
    giveCookies(visit, await renew(visit, refreshToken));
    redirect(visit, returnTo);
  } catch (error) {
    if (!hasEnded(error)) throw error;
    clearSessionCookies(response, settings.isSecure);
    redirectToSignIn(visit, returnTo);
  }
}

async function renew({ deps, call }: Visit, refreshToken: string): Promise<Tokens> {
  if (refreshToken === '') throw new AuthError('REFRESH_TOKEN_INVALID');
  return refresh(deps, { refreshToken, requestId: '', audiences: [] }, call);
}

async function signOut(visit: Visit, { returnTo, isPage }: SessionRequest): Promise<void> {
  const { response, settings } = visit;
  await leaveCurrentSession(visit);
  clearSessionCookies(response, settings.isSecure);
  if (isPage) redirect(visit, returnTo);
  else sendJson(response, 200, {});
}

function hasEnded(error: unknown): boolean {
  return error instanceof AuthError && ENDED.includes(error.reason);
}
