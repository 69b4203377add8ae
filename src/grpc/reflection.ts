// gRPC server reflection for Connect: v1, and v1alpha for older tools. Self-contained: the caller passes the services,
// and this code describes them with all files that they import.
import { type DescFile, type DescService, toBinary } from '@bufbuild/protobuf';
import { nestedTypes } from '@bufbuild/protobuf/reflect';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { Code, type ConnectRouter } from '@connectrpc/connect';
import { ServerReflection } from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ServerReflectionAlpha } from '../../gen/grpc/reflection/v1alpha/reflection_pb.ts';

type ReflectionRequest = {
  host: string;
  messageRequest:
    | { case: 'fileByFilename' | 'fileContainingSymbol' | 'allExtensionNumbersOfType' | 'listServices'; value: string }
    | { case: 'fileContainingExtension'; value: { containingType: string; extensionNumber: number } }
    | { case: undefined; value?: undefined };
};

/** @param details files of messages that no method refers to, such as error details */
export function reflectionRoutes(others: DescService[], details: DescFile[]): (router: ConnectRouter) => void {
  const services = [...others, ServerReflection, ServerReflectionAlpha];
  const index = createIndex([...services.map(({ file }) => file), ...details]);

  async function* serverReflectionInfo<Request extends ReflectionRequest>(requests: AsyncIterable<Request>) {
    const sent = new Set<DescFile>();
    for await (const request of requests) {
      yield { validHost: request.host, originalRequest: request, messageResponse: answer(request, sent) };
    }
  }

  function answer({ messageRequest: { case: kind, value } }: ReflectionRequest, sent: Set<DescFile>) {
    switch (kind) {
      case 'listServices':
        return {
          case: 'listServicesResponse' as const,
          value: { service: services.map(({ typeName }) => ({ name: typeName })) },
        };
      case 'fileByFilename':
        return describe(index.files.get(value), sent);
      case 'fileContainingSymbol':
        return describe(index.symbols.get(value), sent);
      case 'fileContainingExtension':
        return describe(index.extensions.get(value.containingType)?.get(value.extensionNumber), sent);
      case 'allExtensionNumbersOfType': {
        if (!index.messages.has(value)) return notFound();
        const extensionNumber = [...(index.extensions.get(value)?.keys() ?? [])];
        return { case: 'allExtensionNumbersResponse' as const, value: { baseTypeName: value, extensionNumber } };
      }
      default:
        return failure(Code.InvalidArgument, 'the request is empty');
    }
  }

  return (router) => {
    router.service(ServerReflection, { serverReflectionInfo });
    router.service(ServerReflectionAlpha, { serverReflectionInfo });
  };
}

/** Leaves out files that the same stream has already sent. */
function describe(file: DescFile | undefined, sent: Set<DescFile>) {
  if (!file) return notFound();
  sent.delete(file);
  const fileDescriptorProto = withDependencies(file, sent).map(encoded);
  return { case: 'fileDescriptorResponse' as const, value: { fileDescriptorProto } };
}

const encodedFiles = new WeakMap<DescFile, Uint8Array>();

/** Encodes each file once, because an anonymous caller can request all files in every message. */
function encoded(file: DescFile): Uint8Array {
  const bytes = encodedFiles.get(file) ?? toBinary(FileDescriptorProtoSchema, file.proto);
  encodedFiles.set(file, bytes);
  return bytes;
}

function notFound() {
  return failure(Code.NotFound, 'not found');
}

function failure(errorCode: Code, errorMessage: string) {
  return { case: 'errorResponse' as const, value: { errorCode, errorMessage } };
}

/**
 * Each file follows the files that it imports.
 * @param seen files to leave out; the returned files are added
 */
function withDependencies(file: DescFile, seen: Set<DescFile>): DescFile[] {
  const importedFirst: DescFile[] = [];
  const add = (next: DescFile) => {
    if (seen.has(next)) return;
    seen.add(next);
    next.dependencies.forEach(add);
    importedFirst.push(next);
  };
  add(file);
  return importedFirst.reverse();
}

function createIndex(roots: DescFile[]) {
  const files = new Map<string, DescFile>();
  const symbols = new Map<string, DescFile>();
  const messages = new Set<string>();
  /** By extended message, then by field number. */
  const extensions = new Map<string, Map<number, DescFile>>();
  const seen = new Set<DescFile>();

  for (const file of roots.flatMap((root) => withDependencies(root, seen))) {
    files.set(file.proto.name, file);
    for (const type of nestedTypes(file)) {
      symbols.set(type.typeName, file);
      for (const member of membersOf(type)) symbols.set(member, file);
      if (type.kind === 'message') messages.add(type.typeName);
      if (type.kind === 'extension') {
        const numbers = extensions.get(type.extendee.typeName) ?? new Map();
        extensions.set(type.extendee.typeName, numbers.set(type.number, file));
      }
    }
  }
  return { files, symbols, messages, extensions };
}

type Type = ReturnType<typeof nestedTypes> extends Iterable<infer T> ? T : never;

function membersOf(type: Type): string[] {
  switch (type.kind) {
    case 'message':
      return [...type.fields, ...type.oneofs].map(({ name }) => `${type.typeName}.${name}`);
    case 'service':
      return type.methods.map(({ name }) => `${type.typeName}.${name}`);
    case 'enum': {
      // The scope of an enum value is that of its enum, as in C++.
      const scope = type.typeName.slice(0, -type.name.length);
      return type.values.map(({ name }) => scope + name);
    }
    default:
      return [];
  }
}
