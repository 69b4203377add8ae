// ConformanceService: each request describes its own response. The comments of connectrpc/conformance/v1/service.proto are the contract.
import { setTimeout as sleep } from 'node:timers/promises';
import { create, toBinary } from '@bufbuild/protobuf';
import { type Any, anyPack } from '@bufbuild/protobuf/wkt';
import { ConnectError, type ConnectRouter, type HandlerContext } from '@connectrpc/connect';
import type {
  Descriptors,
  ErrorDefinition,
  Header,
  RequestInfo,
  StreamDefinition,
  UnaryDefinition,
} from './descriptors.ts';

type Response = { payload: { data?: Uint8Array; requestInfo?: RequestInfo } };

/** Unimplemented stays unimplemented. */
export function addConformanceService(router: ConnectRouter, { service, requestInfo }: Descriptors): void {
  const { unary, idempotentUnary, clientStream, serverStream, bidiStream } = service.method;

  function describe(requests: Any[], context: HandlerContext): RequestInfo {
    const timeoutMs = context.timeoutMs();
    const query = context.requestMethod === 'GET' ? new URL(context.url).searchParams : null;
    return create(requestInfo, {
      requests,
      requestHeaders: headersOf(context.requestHeader),
      ...(timeoutMs !== undefined && { timeoutMs: BigInt(timeoutMs) }),
      ...(query && { connectGetInfo: { queryParams: headersOf(query) } }),
    });
  }

  function failure({ message, code, details }: ErrorDefinition, info: RequestInfo | null): ConnectError {
    const error = new ConnectError(message ?? '', code);
    for (const { typeUrl, value } of details) error.details.push({ type: typeUrl.replace(/^.*\//, ''), value });
    if (info) error.details.push({ type: requestInfo.typeName, value: toBinary(requestInfo, info) });
    return error;
  }

  async function respond(
    definition: UnaryDefinition | undefined,
    requests: Any[],
    context: HandlerContext,
  ): Promise<Response> {
    setMetadata(definition, context);
    const info = describe(requests, context);
    await sleep(definition?.responseDelayMs);
    const response = definition?.response;
    if (response?.case === 'error') throw failure(response.value, info);
    return { payload: { requestInfo: info, ...(response?.case && { data: response.value }) } };
  }

  /** The first response describes the requests. When there is none, the error does. */
  async function* respondRest(
    definition: StreamDefinition | undefined,
    alreadySent: number,
    requests: Any[],
    context: HandlerContext,
  ): AsyncGenerator<Response> {
    let sent = alreadySent;
    for (const data of definition?.responseData.slice(sent) ?? []) {
      await sleep(definition?.responseDelayMs);
      yield { payload: { data, ...(sent === 0 && { requestInfo: describe(requests, context) }) } };
      sent += 1;
    }
    if (definition?.error) throw failure(definition.error, sent === 0 ? describe(requests, context) : null);
  }

  router.service(service, {
    unary: (request, context) => respond(request.responseDefinition, [anyPack(unary.input, request)], context),

    idempotentUnary: (request, context) =>
      respond(request.responseDefinition, [anyPack(idempotentUnary.input, request)], context),

    async clientStream(messages, context) {
      const requests: Any[] = [];
      let definition: UnaryDefinition | undefined;
      for await (const message of messages) {
        if (requests.length === 0) definition = message.responseDefinition;
        requests.push(anyPack(clientStream.input, message));
      }
      return respond(definition, requests, context);
    },

    async *serverStream(request, context) {
      setMetadata(request.responseDefinition, context);
      yield* respondRest(request.responseDefinition, 0, [anyPack(serverStream.input, request)], context);
    },

    async *bidiStream(messages, context) {
      let first: { responseDefinition?: StreamDefinition; fullDuplex: boolean } | null = null;
      let requests: Any[] = [];
      let sent = 0;
      for await (const message of messages) {
        if (!first) setMetadata(message.responseDefinition, context);
        first ??= message;
        requests.push(anyPack(bidiStream.input, message));
        if (!first.fullDuplex) continue;
        const data = first.responseDefinition?.responseData[sent];
        if (!data) break;
        await sleep(first.responseDefinition?.responseDelayMs);
        const info = sent === 0 ? describe(requests, context) : create(requestInfo, { requests });
        yield { payload: { data, requestInfo: info } };
        sent += 1;
        requests = [];
      }
      yield* respondRest(first?.responseDefinition, sent, requests, context);
    },
  });
}

function setMetadata(definition: UnaryDefinition | StreamDefinition | undefined, context: HandlerContext): void {
  const append = (target: Headers, headers: Header[] = []) => {
    for (const { name, value } of headers) for (const one of value) target.append(name, one);
  };
  append(context.responseHeader, definition?.responseHeaders);
  append(context.responseTrailer, definition?.responseTrailers);
}

function headersOf(entries: Iterable<[name: string, value: string]>): { name: string; value: string[] }[] {
  return Array.from(entries, ([name, value]) => ({ name, value: [value] }));
}
