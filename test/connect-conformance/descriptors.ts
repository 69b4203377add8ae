// The messages and the service of connectrpc/conformance/v1, read from the descriptors that the build writes. These types have the form of
// generated code, and only the fields that a server needs.
import { createFileRegistry, fromBinary, type Message } from '@bufbuild/protobuf';
import type { GenMessage, GenService } from '@bufbuild/protobuf/codegenv2';
import { type Any, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';

const PACKAGE = 'connectrpc.conformance.v1';

type M<Name extends string> = Message<`${typeof PACKAGE}.${Name}`>;

export type Header = M<'Header'> & { name: string; value: string[] };
/** `code` has the numbers of Connect's Code. */
export type ErrorDefinition = M<'Error'> & { code: number; message?: string; details: Any[] };
type Definition = { responseHeaders: Header[]; responseTrailers: Header[]; responseDelayMs: number };
export type UnaryDefinition = M<'UnaryResponseDefinition'> &
  Definition & {
    response:
      | { case: 'responseData'; value: Uint8Array }
      | { case: 'error'; value: ErrorDefinition }
      | { case: undefined; value?: undefined };
  };
export type StreamDefinition = M<'StreamResponseDefinition'> &
  Definition & { responseData: Uint8Array[]; error?: ErrorDefinition };

export type RequestInfo = M<'ConformancePayload.RequestInfo'> & {
  requestHeaders: Header[];
  timeoutMs?: bigint;
  requests: Any[];
  connectGetInfo?: M<'ConformancePayload.ConnectGetInfo'> & { queryParams: Header[] };
};
type Response<Name extends string> = M<Name> & {
  payload?: M<'ConformancePayload'> & { data: Uint8Array; requestInfo?: RequestInfo };
};
type Unary<Name extends string> = {
  methodKind: 'unary';
  input: GenMessage<M<`${Name}Request`> & { responseDefinition?: UnaryDefinition }>;
  output: GenMessage<Response<`${Name}Response`>>;
};
type ConformanceService = GenService<{
  unary: Unary<'Unary'>;
  idempotentUnary: Unary<'IdempotentUnary'>;
  unimplemented: Unary<'Unimplemented'>;
  clientStream: {
    methodKind: 'client_streaming';
    input: GenMessage<M<'ClientStreamRequest'> & { responseDefinition?: UnaryDefinition }>;
    output: GenMessage<Response<'ClientStreamResponse'>>;
  };
  serverStream: {
    methodKind: 'server_streaming';
    input: GenMessage<M<'ServerStreamRequest'> & { responseDefinition?: StreamDefinition }>;
    output: GenMessage<Response<'ServerStreamResponse'>>;
  };
  bidiStream: {
    methodKind: 'bidi_streaming';
    input: GenMessage<M<'BidiStreamRequest'> & { responseDefinition?: StreamDefinition; fullDuplex: boolean }>;
    output: GenMessage<Response<'BidiStreamResponse'>>;
  };
}>;
/** Asks the program for a server. */
type ServerRequest = M<'ServerCompatRequest'> & {
  /** 1 for HTTP/1.1, 2 for HTTP/2. */
  httpVersion: number;
  useTls: boolean;
  /** The certificate of the authority of the clients. Empty when they need none. */
  clientTlsCert: Uint8Array;
  messageReceiveLimit: number;
  serverCreds?: M<'TLSCreds'> & { cert: Uint8Array; key: Uint8Array };
};
type ServerResponse = M<'ServerCompatResponse'> & { host: string; port: number; pemCert: Uint8Array };

export type Descriptors = ReturnType<typeof readDescriptors>;

/** @param descriptorSet a FileDescriptorSet */
export function readDescriptors(descriptorSet: Uint8Array) {
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptorSet));
  function message<Shape extends Message>(name: string): GenMessage<Shape> {
    const found = registry.getMessage(`${PACKAGE}.${name}`);
    if (!found) throw new Error(`the descriptors have no message ${name}`);
    return found as unknown as GenMessage<Shape>;
  }
  const service = registry.getService(`${PACKAGE}.ConformanceService`);
  if (!service) throw new Error('the descriptors have no ConformanceService');
  return {
    registry,
    service: service as unknown as ConformanceService,
    requestInfo: message<RequestInfo>('ConformancePayload.RequestInfo'),
    serverRequest: message<ServerRequest>('ServerCompatRequest'),
    serverResponse: message<ServerResponse>('ServerCompatResponse'),
  };
}
