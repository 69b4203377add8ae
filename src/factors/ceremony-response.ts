// The strict form of what a browser returns from a ceremony (WebAuthn level 3 section 5.1), checked before any decoder.
import { z } from 'zod';
import { invalid } from '../domain/parse-fields.ts';

const MAX_RESPONSE_BYTES = 16 * 1024;
/** WebAuthn level 3 section 4, Credential ID: at least 16 bytes, and at most 1023. */
const [MIN_ID_BYTES, MAX_ID_BYTES] = [16, 1_023];
const MAX_USER_HANDLE_BYTES = 64;
const MAX_TRANSPORTS = 16;
/** 37 bytes, and extensions. Strangers can send these bytes, and their decoder takes about a microsecond for each. */
const MAX_ASSERTED_BYTES = 1_024;

const bytes = z
  .string()
  .refine((text) => Buffer.from(text, 'base64url').toString('base64url') === text)
  .transform((text) => Buffer.from(text, 'base64url'));
const credentialId = bytes.refine(({ length }) => length >= MIN_ID_BYTES && length <= MAX_ID_BYTES);
const assertedData = bytes.refine(({ length }) => length <= MAX_ASSERTED_BYTES);
const userHandle = bytes.refine(({ length }) => length >= 1 && length <= MAX_USER_HANDLE_BYTES);
// A future standard may add transports.
const transports = z.array(z.string().regex(/^[a-z-]{1,32}$/)).max(MAX_TRANSPORTS);

function credential<R extends z.ZodType>(response: R) {
  return z
    .object({ id: z.string(), rawId: credentialId, type: z.literal('public-key'), response })
    .refine(({ id, rawId }) => id === rawId.toString('base64url'));
}

const registration = credential(
  z.object({ clientDataJSON: bytes, attestationObject: bytes, transports: transports.nullish() }),
);
const assertion = credential(
  z.object({
    clientDataJSON: bytes,
    authenticatorData: assertedData,
    signature: bytes,
    userHandle: userHandle.nullish(),
  }),
);

export type RegistrationResponse = z.infer<typeof registration>;
export type AssertionResponse = z.infer<typeof assertion>;

/** @throws InvalidValue */
export function parseRegistration(text: string): RegistrationResponse {
  return parseResponse(text, registration) ?? invalid('must be the JSON of a passkey registration');
}

/** @throws InvalidValue */
export function parseAssertion(text: string): AssertionResponse {
  return readAssertion(text) ?? invalid('must be the JSON of a passkey assertion');
}

export function readAssertion(text: string): AssertionResponse | null {
  return parseResponse(text, assertion);
}

function parseResponse<S extends z.ZodType>(text: string, form: S): z.infer<S> | null {
  if (text.length > MAX_RESPONSE_BYTES || Buffer.byteLength(text) > MAX_RESPONSE_BYTES) return null;
  try {
    return form.parse(JSON.parse(text));
  } catch {
    return null;
  }
}
