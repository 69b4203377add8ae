// The form of an OAuth request: application/x-www-form-urlencoded, small, each parameter once (RFC 6749 section 3.2).
import { AuthError } from '../../domain/auth-error.ts';
import { receiveBody } from '../calls/receive-body.ts';
import type { ServerRequest } from '../transport/server-request.ts';
import { OAuthRejection } from './oauth-rejection.ts';

export type OAuthForm = {
  /** Empty when omitted, which means the same as no value. @throws OAuthRejection when repeated */
  one(name: string): string;
  /** Null when omitted. An empty value stays. @throws OAuthRejection when repeated */
  stated(name: string): string | null;
  /** @throws OAuthRejection when omitted, empty or repeated */
  required(name: string): string;
  /** Without empty values. */
  all(name: string): string[];
};

type ReceiveOptions = Omit<Parameters<typeof receiveBody>[1], 'maxBytes' | 'inspect'>;

export const MAX_FORM_BYTES = 8 * 1024;
const MAX_FIELDS = 32;

/** @throws OAuthRejection for a header that rules a form out, before the body is read */
export function assertForm({ headers }: ServerRequest): void {
  if (!isForm(headers.get('content-type'))) {
    throw new OAuthRejection('invalid_request', 'the content-type must be application/x-www-form-urlencoded');
  }
}

export function isForm(contentType: string): boolean {
  const [type = ''] = contentType.split(';', 1);
  return type.trim().toLowerCase() === 'application/x-www-form-urlencoded';
}

/** @throws OAuthRejection, or AuthError as receiveBody does */
export async function receiveForm(request: ServerRequest, options: ReceiveOptions): Promise<OAuthForm> {
  try {
    return parseForm(await receiveBody(request, { ...options, maxBytes: MAX_FORM_BYTES }));
  } catch (error) {
    const isTooLarge = error instanceof AuthError && error.reason === 'MESSAGE_TOO_LARGE';
    throw isTooLarge ? new OAuthRejection('invalid_request', 'the form is too large') : error;
  }
}

export function formDecoded(text: string): string {
  return new URLSearchParams(`x=${text}`).get('x') ?? '';
}

/** @throws OAuthRejection */
export function parseForm(body: Buffer): OAuthForm {
  const text = body.toString();
  if (text.split('&', MAX_FIELDS + 1).length > MAX_FIELDS) {
    throw new OAuthRejection('invalid_request', 'the form has too many fields');
  }
  const fields = new URLSearchParams(text);
  const stated = (name: string) => {
    const values = fields.getAll(name);
    if (values.length > 1) throw new OAuthRejection('invalid_request', `${name} is repeated`);
    return values[0] ?? null;
  };
  const one = (name: string) => stated(name) ?? '';
  return {
    one,
    stated,
    required(name) {
      const value = one(name);
      if (value === '') throw new OAuthRejection('invalid_request', `${name} is missing`);
      return value;
    },
    all: (name) => fields.getAll(name).filter((value) => value !== ''),
  };
}
