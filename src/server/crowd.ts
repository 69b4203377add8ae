// How much may be under way at once: each call that Connect serves takes some 20 KB and most of a millisecond, and a stranger can
// ask for as many as connections and streams allow.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { codeToHttpStatus, errorToJsonBytes } from '@connectrpc/connect/protocol-connect';
import { setTrailerStatus } from '@connectrpc/connect/protocol-grpc';
import { networkOf } from '../domain/networks.ts';
import { type RpcSystem, rpcSystem } from '../telemetry/rpc-conventions.ts';
import type { CallLog } from './call-log.ts';
import { addressOf, chooseRequestId } from './call-record.ts';
import type { ClientAddress } from './client-address.ts';
import { codeName, ERRORS, refusal } from './errors.ts';
import type { NodeRequest, NodeResponse } from './handler.ts';

/** Of one process. */
const MAX_CALLS = 1_000;
/** Of one network, so that nobody takes all places by holding calls open. */
const MAX_CALLS_OF_NETWORK = MAX_CALLS / 2;
const RETRY_AFTER_MS = 1_000;
/** Over HTTP/1.1 nobody sends many requests before the answer to the first, but Node would serve them all. */
const MAX_PIPELINED = 16;

/** How something that is no RPC says it, in JSON. */
type Refusal = { system: RpcSystem; body: string };

export type Crowd = {
  /** Whether one more call that does not last may begin; when not, it has been answered. */
  admit(method: string, request: NodeRequest, response: NodeResponse, as?: Refusal): boolean;
};

export function createCrowd(callLog: Pick<CallLog, 'count'>, clientAddress: ClientAddress): Crowd {
  let underWay = 0;
  const byNetwork = new Map<string, number>();

  function add(network: string, calls: 1 | -1): void {
    underWay += calls;
    const left = (byNetwork.get(network) ?? 0) + calls;
    if (left > 0) byNetwork.set(network, left);
    else byNetwork.delete(network);
  }

  return {
    admit(method, request, response, as) {
      const address = addressOf(request, clientAddress);
      const network = networkOf(address);
      if (underWay >= MAX_CALLS || (byNetwork.get(network) ?? 0) >= MAX_CALLS_OF_NETWORK) {
        const requestId = chooseRequestId(request.headers['x-request-id']);
        const system = as?.system ?? rpcSystem(request.headers['content-type']);
        const call = { method, system, code: codeName(ERRORS.OVERLOADED.code) };
        const ended = {
          ...call,
          reason: 'OVERLOADED' as const,
          startedAt: performance.now(),
          peer: () => address,
          requestId,
        };
        callLog.count({ ...ended, header: () => '' });
        refuse(request, response, requestId, as?.body);
        return false;
      }
      add(network, 1);
      response.once('close', () => add(network, -1));
      return true;
    },
  };
}

/** By headers alone over gRPC, and before any of the body was read. */
function refuse(request: NodeRequest, response: NodeResponse, requestId: string, body?: string): void {
  const error = refusal('OVERLOADED', requestId, RETRY_AFTER_MS);
  const contentType = request.headers['content-type'] ?? '';
  response.setHeader('x-request-id', requestId);
  if (!('stream' in request)) (response as ServerResponse).shouldKeepAlive = false;
  request.resume();
  if (contentType.startsWith('application/grpc')) {
    const headers = new Headers({ 'content-type': contentType });
    setTrailerStatus(headers, error);
    for (const [name, value] of headers) response.setHeader(name, value);
    response.statusCode = 200;
    response.end();
    return;
  }
  response.statusCode = codeToHttpStatus(error.code);
  response.setHeader('content-type', 'application/json');
  response.setHeader('retry-after', RETRY_AFTER_MS / 1000);
  response.end(body ?? errorToJsonBytes(error, undefined));
}

const unanswered = new WeakMap<object, number>();

/** Whether one more request of this HTTP/1.1 connection may be served; when not, the connection has ended. */
export function mayPipeline({ socket }: IncomingMessage, response: ServerResponse): boolean {
  // What came in the same read is told all the same.
  if (socket.destroyed) return false;
  const count = (unanswered.get(socket) ?? 0) + 1;
  if (count > MAX_PIPELINED) {
    socket.destroy();
    return false;
  }
  unanswered.set(socket, count);
  response.once('close', () => unanswered.set(socket, (unanswered.get(socket) ?? 1) - 1));
  return true;
}
