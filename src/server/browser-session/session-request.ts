import { AuthError } from '../../domain/auth-error.ts';
import { isPageRequest, returnTarget, soleCookie } from '../../domain/browser-request.ts';
import type { Call } from '../../domain/call.ts';
import { type CallRecord, slotHolder } from '../calls/call-record.ts';
import type { FairSlots } from '../calls/fair-slots.ts';
import { receiveBody } from '../calls/receive-body.ts';
import type { ServerRequest } from '../transport/server-request.ts';

/** The fields of a form or of a JSON object, as text. */
type Fields = Record<string, string>;

export type SessionRequest = {
  fields: Fields;
  returnTo: string;
  /** Whether the client shows the response to the user: then it is a page or a redirect, and otherwise JSON. */
  isPage: boolean;
};

const MAX_BODY_BYTES = 8 * 1024;
/** A response of a passkey can have 16 KiB, before it is encoded as a form. */
const MAX_PROOF_BODY_BYTES = 32 * 1024;
const WITH_PROOF = ['/session/second-step', '/session/step-up'];
const MAX_FORM_FIELDS = 16;
const TIMEOUT_MS = 5_000;

export function cookieOf({ headers }: ServerRequest, name: string): string {
  return soleCookie(headers.get('cookie'), name);
}

export function callOf({ address, userAgent, requestId }: CallRecord, disconnected: AbortSignal): Call {
  const signal = AbortSignal.any([disconnected, AbortSignal.timeout(TIMEOUT_MS)]);
  return { origin: { address, userAgent, requestId }, signal };
}

/** For GET, whose fields are in the query. */
export function readQuery(request: ServerRequest): SessionRequest {
  const [, query = ''] = request.url.split('?', 2);
  const fields = new URLSearchParams(query);
  const returnTo = returnTarget(fields.get('return') ?? '');
  return { fields: { acr: fields.get('acr') ?? '' }, returnTo: outsideSession(returnTo), isPage: true };
}

/** @throws AuthError REQUEST_MALFORMED for another content type or another form, MESSAGE_TOO_LARGE or OVERLOADED */
export async function readBody(
  { waiting }: { waiting: FairSlots },
  request: ServerRequest,
  record: CallRecord,
  { signal }: Call,
): Promise<SessionRequest> {
  const holder = slotHolder(record);
  const maxBytes = WITH_PROOF.includes(request.path) ? MAX_PROOF_BODY_BYTES : MAX_BODY_BYTES;
  const body = await receiveBody(request, { waiting, holder, signal, maxBytes });
  const [type = ''] = request.headers.get('content-type').split(';', 1);
  const isForm = type.trim().toLowerCase() === 'application/x-www-form-urlencoded';
  const fields = isForm ? formFields(body.toString()) : jsonFields(type, body.toString());
  const isPage = isForm && isPageRequest('GET', (name) => request.headers.get(name));
  return { fields, returnTo: outsideSession(returnTarget(fields.return ?? '')), isPage };
}

/** A return to these endpoints could be a loop. */
function outsideSession(target: string): string {
  return target === '/session' || target.startsWith('/session/') || target.startsWith('/session?') ? '/' : target;
}

function formFields(text: string): Fields {
  if (text.split('&', MAX_FORM_FIELDS + 1).length > MAX_FORM_FIELDS) throw new AuthError('REQUEST_MALFORMED');
  return onlyTexts([...new URLSearchParams(text)]);
}

function jsonFields(type: string, text: string): Fields {
  if (text === '') return {};
  if (type.trim().toLowerCase() !== 'application/json') throw new AuthError('REQUEST_MALFORMED');
  const fields = Object.entries(parseObject(text));
  // JSON.parse keeps the last of repeated members. Each member is two texts: its name and its value.
  const hasRepeated = (text.match(JSON_TEXT)?.length ?? 0) > 2 * fields.length;
  if (hasRepeated) throw new AuthError('REQUEST_MALFORMED');
  return onlyTexts(fields);
}

const JSON_TEXT = /"(?:[^"\\]|\\.)*"/g;

function parseObject(text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // The error below has no part of the body.
  }
  throw new AuthError('REQUEST_MALFORMED');
}

/** Two readers could choose different ones of a repeated field. */
function onlyTexts(entries: [string, unknown][]): Fields {
  const names = new Set(entries.map(([name]) => name));
  const areTexts = entries.every(([, value]) => typeof value === 'string');
  if (!areTexts || names.size !== entries.length || names.has('__proto__')) throw new AuthError('REQUEST_MALFORMED');
  return Object.fromEntries(entries) as Fields;
}
