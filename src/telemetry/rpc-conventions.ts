// The conventions of OpenTelemetry for RPC (semantic conventions 1.45, rpc/grpc.md and rpc/connect-rpc.md).

/** `http` is forward auth, which gateways call like an RPC. */
export type RpcSystem = 'grpc' | 'connectrpc' | 'http';

/** A rejected sign-in is not an error of the server. */
const SERVER_ERRORS = new Set([
  'unknown',
  'deadline_exceeded',
  'unimplemented',
  'internal',
  'unavailable',
  'data_loss',
]);
const GRPC_NAMES = new Map<string, string>([['canceled', 'CANCELLED']]);

export function rpcSystem(contentType: string | undefined): RpcSystem {
  return contentType?.startsWith('application/grpc') ? 'grpc' : 'connectrpc';
}

export function statusCode(system: RpcSystem, code: string): { status: string; isServerError: boolean } {
  return { status: system === 'grpc' ? grpcName(code) : code, isServerError: SERVER_ERRORS.has(code) };
}

function grpcName(code: string): string {
  let name = GRPC_NAMES.get(code);
  if (name === undefined) {
    name = code.toUpperCase();
    GRPC_NAMES.set(code, name);
  }
  return name;
}
