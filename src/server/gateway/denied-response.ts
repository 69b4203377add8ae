// The response that Envoy sends to a client whose request is denied, in the protocol of that client: a client of gRPC
// or Connect reads neither the status of HTTP nor our JSON.
import type { Code, ConnectError } from '@connectrpc/connect';
import { encodeEnvelope } from '@connectrpc/connect/protocol';
import { endStreamFlag, endStreamToJson } from '@connectrpc/connect/protocol-connect';
import { HeaderValueOption_HeaderAppendAction as AppendAction } from '../../../gen/envoy/config/core/v3/base_pb.ts';
import { AuthError } from '../../domain/auth-error.ts';
import { codeOf, toConnectError } from '../calls/errors.ts';
import { connectError, grpcError } from '../calls/write-error.ts';
import type { Rejection } from './authorize-request.ts';
import { rejection } from './identity-headers.ts';

export type ClientProtocol = {
  kind: 'http' | 'grpc' | 'grpc-server' | 'connect' | 'connect-stream';
  contentType: string;
};

export type DeniedResponse = {
  code: Code;
  status: 200 | 302 | 400 | 401 | 403;
  headers: [name: string, value: string][];
  body: string;
};

/** @param streamId of Envoy; empty from a gRPC server, which asks about its own calls */
export function clientProtocol(
  header: (name: string) => string,
  { path, streamId }: { path: string; streamId: string },
): ClientProtocol {
  const contentType = header('content-type');
  const [, type = ''] = /^application\/(grpc-web|grpc|connect|proto)(?![^+;-])/.exec(contentType) ?? [];
  if (type === 'grpc' && streamId === '') return { kind: 'grpc-server', contentType };
  if (type === 'grpc' || type === 'grpc-web') return { kind: 'grpc', contentType };
  if (type === 'connect') return { kind: 'connect-stream', contentType };
  const isConnect = type === 'proto' || header('connect-protocol-version') !== '' || /[?&]connect=v1(&|$)/.test(path);
  return { kind: isConnect ? 'connect' : 'http', contentType };
}

export function deniedResponse(
  denial: Rejection,
  { kind, contentType }: ClientProtocol,
  requestId: string,
): DeniedResponse {
  const { reason, violations = [], required, redirect } = denial;
  const { status, challenge, body } = rejection(denial);
  const denied: Omit<DeniedResponse, 'headers'> = { code: codeOf(reason), status, body: '' };
  const plain: DeniedResponse['headers'] = [
    ['www-authenticate', challenge],
    ['content-type', 'application/json'],
    ['cache-control', 'no-store'],
  ];
  if (kind === 'http') {
    if (redirect) plain.push([redirect.byHeader ? 'x-auth-redirect' : 'location', redirect.url]);
    const isRedirect = redirect?.byHeader === false;
    return { ...denied, status: isRedirect ? 302 : status, headers: plain, body: JSON.stringify(body) };
  }
  const error = toConnectError(new AuthError(reason, { violations, required }), requestId);
  switch (kind) {
    case 'connect':
      return { ...denied, headers: plain, body: textOf(connectError(error).body ?? new Uint8Array()) };
    // A gRPC server derives the code from this status (gRFC A92). Envoy answers gRPC with 200, and
    // gRPC-Web with the status of this answer.
    case 'grpc-server':
      return { ...denied, headers: grpcError(error).headers };
    case 'grpc':
      return { ...denied, status: 200, headers: [['content-type', contentType], ...grpcError(error).headers] };
    case 'connect-stream':
      return { ...denied, status: 200, headers: [['content-type', contentType]], body: endOfStream(error) };
  }
}

export const OVERWRITE = AppendAction.OVERWRITE_IF_EXISTS_OR_ADD;

/** The body of CheckResponse is a text, so each byte of the envelope must be ASCII. Spaces adjust its length. */
function endOfStream(error: ConnectError): string {
  const json = escaped(JSON.stringify(endStreamToJson(new Headers(), error, undefined)));
  const excess = json.length % 256;
  const padded = json + ' '.repeat(excess < 128 ? 0 : 256 - excess);
  return textOf(encodeEnvelope(endStreamFlag, Buffer.from(padded)));
}

function escaped(json: string): string {
  return json.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}
