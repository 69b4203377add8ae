// Writes errors to the wire, in the forms of all protocols.
import type { ConnectError } from '@connectrpc/connect';
import { encodeEnvelope } from '@connectrpc/connect/protocol';
import { codeToHttpStatus, errorToJsonBytes } from '@connectrpc/connect/protocol-connect';
import { setTrailerStatus } from '@connectrpc/connect/protocol-grpc';
import { trailerFlag, trailerSerialize } from '@connectrpc/connect/protocol-grpc-web';
import { BadRequestSchema, ErrorInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import type { RequiredStrength } from '../../domain/acr.ts';
import { stepUpChallenge } from '../../domain/required-strength.ts';
import { sendJson } from '../transport/handler.ts';
import type { ServerResponse } from '../transport/server-response.ts';

export type WireError = {
  status: number;
  headers: [name: string, value: string][];
  body: Uint8Array | null;
};

/** `error` of RFC 6749 section 5.2, RFC 6750 section 3.1, RFC 7009 section 2.2.1, RFC 8707 section 2 and RFC 9470 section 3. */
export type OAuthErrorCode =
  | 'invalid_request'
  | 'invalid_client'
  | 'invalid_token'
  | 'insufficient_user_authentication'
  | 'invalid_scope'
  | 'invalid_target'
  | 'unsupported_grant_type'
  | 'unsupported_token_type'
  | 'temporarily_unavailable'
  | 'server_error';

/** Without a body: the headers carry the status ("Trailers-Only"). */
export function grpcError(error: ConnectError, into = new Headers()): WireError {
  setTrailerStatus(into, error);
  return { status: 200, headers: [...into], body: null };
}

/** The last frame of the body carries the trailers. An error has no other frame. */
export function grpcWebError(error: ConnectError, trailers = new Headers()): WireError {
  setTrailerStatus(trailers, error);
  return { status: 200, headers: [], body: encodeEnvelope(trailerFlag, trailerSerialize(trailers)) };
}

export function connectError(error: ConnectError, status = codeToHttpStatus(error.code)): WireError {
  const body = errorToJsonBytes(error, undefined);
  const headers: WireError['headers'] = [
    ['content-type', 'application/json'],
    ['content-length', String(body.byteLength)],
  ];
  return { status, headers, body };
}

export function sendHttpError(response: ServerResponse, error: ConnectError): void {
  setRetryAfter(response, error);
  const [info] = error.findDetails(ErrorInfoSchema);
  const violations = error.findDetails(BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations);
  sendJson(response, codeToHttpStatus(error.code), {
    reason: info?.reason ?? '',
    message: error.rawMessage,
    violations: violations.map(({ field, description }) => ({ field, description })),
  });
}

/** @param cause null for a fault of the request */
export function sendOAuthError(
  response: ServerResponse,
  { error, description }: { error: OAuthErrorCode; description?: string },
  cause: ConnectError | null = null,
): void {
  if (cause) setRetryAfter(response, cause);
  sendJson(response, OAUTH_STATUS[error], {
    error,
    ...(description !== undefined && { error_description: description }),
  });
}

const OAUTH_STATUS: Record<OAuthErrorCode, number> = {
  invalid_request: 400,
  invalid_client: 401,
  invalid_token: 401,
  insufficient_user_authentication: 401,
  invalid_scope: 400,
  invalid_target: 400,
  unsupported_grant_type: 400,
  unsupported_token_type: 400,
  temporarily_unavailable: 503,
  server_error: 500,
};

/** `www-authenticate` for a caller who can step up. */
export function stepUpHeader(required: RequiredStrength): string {
  return `Bearer realm="latchkey", ${stepUpChallenge(required)}`;
}

export function setRetryAfter(response: ServerResponse, { metadata }: ConnectError): void {
  const retryAfter = metadata.get('retry-after');
  if (retryAfter) response.setHeader('retry-after', retryAfter);
}
