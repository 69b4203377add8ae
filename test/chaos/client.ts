// One call of a client, and whether its response shows that the call was carried out.
import { Agent, request } from 'node:http';
import { type DescMethodUnary, fromBinary, type JsonValue } from '@bufbuild/protobuf';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';

export type Answer = {
  /** `ok`, the gRPC code's name, or `none` without a response. */
  code: string;
  /** The reason in ErrorInfo, or the cause of the missing response. */
  reason: string;
  // biome-ignore lint/suspicious/noExplicitAny: answers of every method
  body?: any;
  /** The message of a failure. */
  message?: string;
  /** False when the service cannot have received the call. */
  isSent: boolean;
};

export type Request = {
  method: DescMethodUnary;
  input: JsonValue;
  requestId: string;
  bearer?: string;
  /** On a new connection, which no firewall can have dropped. */
  alone?: boolean;
};

/** The time after which a client repeats a call. */
const PATIENCE_MS = 4_000;
/** A client may repeat a call after these. */
const TEMPORARY = ['DEPENDENCY_UNAVAILABLE', 'OVERLOADED', 'DEADLINE_EXCEEDED', 'RATE_LIMITED'];
/** The call has not reached the service. */
const UNSENT = ['ECONNREFUSED'];

const agent = new Agent({ keepAlive: true, maxSockets: 64, timeout: 20_000 });

export function isTemporary({ code, reason }: Answer): boolean {
  return code === 'none' || TEMPORARY.includes(reason);
}

export function callOnce(port: number, { method, input, requestId, bearer, alone = false }: Request): Promise<Answer> {
  const body = JSON.stringify(input);
  const headers = {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'x-request-id': requestId,
    ...(bearer !== undefined && { authorization: `Bearer ${bearer}` }),
  };
  const path = `/${method.parent.typeName}/${method.name}`;
  return new Promise((resolve) => {
    const none = (reason: string) => resolve({ code: 'none', reason, isSent: !UNSENT.includes(reason) });
    const call = request({ port, host: '127.0.0.1', method: 'POST', path, headers, agent: alone ? false : agent });
    const impatience = setTimeout(
      () => call.destroy(Object.assign(new Error(), { code: 'no answer in time' })),
      PATIENCE_MS,
    );
    call.on('error', (error: NodeJS.ErrnoException) => none(error.code ?? error.message));
    call.on('close', () => clearTimeout(impatience));
    call.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', (error: NodeJS.ErrnoException) => none(error.code ?? error.message));
      response.on('end', () => resolve(toAnswer(response.statusCode ?? 0, Buffer.concat(chunks).toString())));
    });
    call.end(body);
  });
}

type JsonFailure = { code?: string; message?: string; details?: { type: string; value: string }[] };

function toAnswer(status: number, text: string): Answer {
  try {
    const body = JSON.parse(text);
    if (status === 200) return { code: 'ok', reason: '', body, isSent: true };
    const { code = `HTTP ${status}`, message = '', details = [] } = body as JsonFailure;
    const info = details.find(({ type }) => type === 'google.rpc.ErrorInfo');
    const reason = info ? fromBinary(ErrorInfoSchema, Buffer.from(info.value, 'base64')).reason : 'no reason';
    return { code, reason, message, isSent: true };
  } catch {
    return { code: `HTTP ${status}`, reason: 'not an answer of the service', isSent: true };
  }
}
