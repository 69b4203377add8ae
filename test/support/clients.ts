// Real clients of every protocol behind one function, so that one table of cases can run over all of them.
import { execFile } from 'node:child_process';
import { type DescMethodUnary, fromBinary, fromJson, type JsonValue, toBinary, toJson } from '@bufbuild/protobuf';
import { type Code, ConnectError, type Transport } from '@connectrpc/connect';
import { codeFromString, codeToString } from '@connectrpc/connect/protocol-connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import * as grpc from '@grpc/grpc-js';
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { AccountService } from '../../gen/latchkey/auth/v1/account_service_pb.ts';
import { AdminService } from '../../gen/latchkey/auth/v1/admin_service_pb.ts';
import { AuthService } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { VerifierService } from '../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import { assertDocumented } from './documented-errors.ts';

/** The outcome of a call, over any protocol. */
export type Outcome = {
  /** `ok`, or the gRPC code's name. */
  code: string;
  /** The response as JSON; undefined for a failure. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every method
  body?: any;
  reason?: string;
  /** The invalid fields, by name. */
  fields?: string[];
  /** From RetryInfo. */
  retryAfterSeconds?: number;
  /** From the header, where the client exposes it. */
  retryAfterHeader?: number;
  message?: string;
};

type CallOptions = { bearer?: string; headers?: Record<string, string>; timeoutMs?: number };
export type Caller = (method: DescMethodUnary, input: JsonValue, options?: CallOptions) => Promise<Outcome>;

export const auth = AuthService.method;
export const account = AccountService.method;
export const verifierService = VerifierService.method;
export const admin = AdminService.method;

function transports(url: string): Record<string, Transport> {
  return {
    'Connect, JSON, HTTP/1.1': createConnectTransport({ baseUrl: url, httpVersion: '1.1', useBinaryFormat: false }),
    'Connect, binary, HTTP/1.1': createConnectTransport({ baseUrl: url, httpVersion: '1.1', useBinaryFormat: true }),
    'Connect, JSON, HTTP/2': createConnectTransport({ baseUrl: url, httpVersion: '2', useBinaryFormat: false }),
    'Connect, binary, HTTP/2': createConnectTransport({ baseUrl: url, httpVersion: '2', useBinaryFormat: true }),
    'gRPC of Connect, HTTP/2': createGrpcTransport({ baseUrl: url }),
    'gRPC-Web, HTTP/1.1': createGrpcWebTransport({ baseUrl: url, httpVersion: '1.1' }),
    'gRPC-Web, HTTP/2': createGrpcWebTransport({ baseUrl: url, httpVersion: '2' }),
  };
}

/** Every protocol and client that can call the service. */
export function callers(url: string): Record<string, Caller> {
  const connect = Object.entries(transports(url)).map(([name, transport]) => [name, viaConnect(transport)] as const);
  return {
    ...Object.fromEntries(connect),
    'grpc-js': viaGrpcJs(url),
    'plain JSON by fetch': viaFetch(url),
    'buf curl, gRPC': viaBufCurl(url, 'grpc'),
    'buf curl, gRPC-Web': viaBufCurl(url, 'grpcweb'),
    'buf curl, Connect': viaBufCurl(url, 'connect'),
  };
}

function viaConnect(transport: Transport): Caller {
  return async (method, input, options = {}) => {
    const headers = headersOf(options);
    try {
      const message = fromJson(method.input, input);
      const answer = await transport.unary(method, undefined, options.timeoutMs, headers, message);
      return { code: 'ok', body: toJson(method.output, answer.message, { alwaysEmitImplicit: true }) };
    } catch (error) {
      return documented(method, outcomeOf(ConnectError.from(error)));
    }
  };
}

/** The fastest client, for tests that are not about protocols. A server of an old release may have another proto package. */
export function viaFetch(url: string, protoPackage?: string): Caller {
  return async (method, input, options = {}) => {
    const service = protoPackage ? `${protoPackage}.${method.parent.name}` : method.parent.typeName;
    const response = await fetch(`${url}/${service}/${method.name}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headersOf(options) },
      body: JSON.stringify(input),
    });
    const body = (await response.json()) as JsonError;
    if (response.ok) return { code: 'ok', body };
    const retryAfter = response.headers.get('retry-after');
    const outcome = { ...outcomeOfJson(body), ...(retryAfter && { retryAfterHeader: Number(retryAfter) }) };
    return protoPackage ? outcome : documented(method, outcome);
  };
}

/** Over gRPC, on a connection of its own. */
export function viaGrpcJs(url: string): Caller {
  const client = new grpc.Client(new URL(url).host, grpc.credentials.createInsecure());
  return (method, input, options = {}) => {
    const metadata = new grpc.Metadata();
    for (const [name, value] of Object.entries(headersOf(options))) metadata.set(name, value);
    return new Promise((resolve) => {
      client.makeUnaryRequest(
        `/${method.parent.typeName}/${method.name}`,
        (message) => Buffer.from(toBinary(method.input, message)),
        (bytes) => fromBinary(method.output, bytes),
        fromJson(method.input, input),
        metadata,
        options.timeoutMs === undefined ? {} : { deadline: Date.now() + options.timeoutMs },
        (error, answer) => {
          if (error) resolve(outcomeOfGrpcJs(error));
          else if (answer) resolve({ code: 'ok', body: toJson(method.output, answer, { alwaysEmitImplicit: true }) });
        },
      );
    });
  };
}

function viaBufCurl(url: string, protocol: 'grpc' | 'grpcweb' | 'connect'): Caller {
  return (method, input, options = {}) => {
    const headers = Object.entries(headersOf(options)).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
    const args = ['curl', '--schema', 'proto', '--protocol', protocol, '--emit-defaults', '-d', JSON.stringify(input)];
    if (protocol === 'grpc') args.push('--http2-prior-knowledge');
    return new Promise((resolve, reject) => {
      const target = `${url}/${method.parent.typeName}/${method.name}`;
      execFile('node_modules/.bin/buf', [...args, ...headers, target], (error, stdout, stderr) => {
        if (!error) resolve({ code: 'ok', body: JSON.parse(stdout) });
        else if (stderr.trim().startsWith('{')) resolve(outcomeOfJson(JSON.parse(stderr)));
        else reject(new Error(stderr));
      });
    });
  };
}

function headersOf({ bearer, headers }: CallOptions): Record<string, string> {
  return { ...headers, ...(bearer !== undefined && { authorization: `Bearer ${bearer}` }) };
}

/** Checks each failed call of each test against the contract. */
function documented(method: DescMethodUnary, outcome: Outcome): Outcome {
  assertDocumented(method, outcome.reason);
  return outcome;
}

function outcomeOf(error: ConnectError): Outcome {
  const [info] = error.findDetails(ErrorInfoSchema);
  const [bad] = error.findDetails(BadRequestSchema);
  const [retry] = error.findDetails(RetryInfoSchema);
  return {
    code: codeToString(error.code),
    message: error.rawMessage,
    ...(info && { reason: info.reason }),
    ...(bad && { fields: bad.fieldViolations.map((violation) => violation.field) }),
    ...(retry && { retryAfterSeconds: Number(retry.retryDelay?.seconds) }),
  };
}

/** The JSON of Connect, and of `buf curl`, which prints the same. */
type JsonError = { code: string; message: string; details?: { type: string; value: string }[] };

function outcomeOfJson(body: JsonError): Outcome {
  const error = new ConnectError(body.message ?? '', codeFromString(body.code));
  error.details.push(
    ...(body.details ?? []).map(({ type, value }) => ({ type, value: new Uint8Array(Buffer.from(value, 'base64')) })),
  );
  return outcomeOf(error);
}

function outcomeOfGrpcJs(error: grpc.ServiceError): Outcome {
  const code = error.code as number as Code;
  const [status] = error.metadata.get('grpc-status-details-bin');
  const converted = new ConnectError(error.details, code);
  if (status instanceof Buffer) {
    // google.rpc.Status: code, message, repeated Any details = 3.
    for (const bytes of lengthDelimited(status, 3)) {
      const [typeUrl, value] = [lengthDelimited(bytes, 1)[0], lengthDelimited(bytes, 2)[0]];
      converted.details.push({ type: String(typeUrl).split('/').pop() ?? '', value: new Uint8Array(value ?? []) });
    }
  }
  return outcomeOf(converted);
}

/** The values of one length-delimited field of a message, decoded here so that the test does not depend on our codec. */
function lengthDelimited(message: Buffer, field: number): Buffer[] {
  const found: Buffer[] = [];
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = message[at++] ?? 0;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.length) {
    const tag = varint();
    if ((tag & 7) === 0) varint();
    else {
      const length = varint();
      if (tag >> 3 === field) found.push(message.subarray(at, at + length));
      at += length;
    }
  }
  return found;
}

/** Repeats a call that a busy machine has answered with `unavailable`: many transactions that wait for one row take long. */
export async function untilAvailable(ask: () => Promise<Outcome>): Promise<Outcome> {
  for (;;) {
    const outcome = await ask();
    if (outcome.code !== 'unavailable') return outcome;
  }
}
