// The gRPC contract with its comments, read from proto/ by `buf build`.
import { spawnSync } from 'node:child_process';
import {
  createFileRegistry,
  type DescEnum,
  type DescEnumValue,
  type DescField,
  type DescFile,
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
} from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';

type Commented = DescService | DescMethod | DescMessage | DescField | DescEnum | DescEnumValue;

export type Contract = {
  files: DescFile[];
  /** The text above a definition, without comment marks. Empty when there is none. */
  commentOf(desc: Commented): string;
};

export const PACKAGE = 'latchkey.auth.v1';

export function readContract(root: string): Contract {
  const buf = spawnSync('node_modules/.bin/buf', ['build', '-o', '-#format=binpb'], {
    cwd: root,
    maxBuffer: 64 * 2 ** 20,
  });
  if (buf.status !== 0) throw new Error(`buf build failed: ${buf.stderr}`);
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, buf.stdout));
  const files = [...registry.files].filter(({ proto }) => proto.package === PACKAGE);
  const comments = new Map(files.map((file) => [file, commentsByPath(file)]));
  return {
    files: files.toSorted((a, b) => a.name.localeCompare(b.name)),
    commentOf: (desc) => comments.get(fileOf(desc))?.get(pathOf(desc).join('.')) ?? '',
  };
}

function commentsByPath({ proto }: DescFile): Map<string, string> {
  const locations = proto.sourceCodeInfo?.location ?? [];
  return new Map(
    locations.map(({ path, leadingComments, trailingComments }) => [
      path.join('.'),
      (leadingComments || trailingComments).replace(/^ /gm, '').trim(),
    ]),
  );
}

function fileOf(desc: Commented): DescFile {
  switch (desc.kind) {
    case 'rpc':
    case 'field':
    case 'enum_value':
      return desc.parent.file;
    default:
      return desc.file;
  }
}

/** Field numbers and positions in descriptor.proto, as SourceCodeInfo.Location has them. */
function pathOf(desc: Commented): number[] {
  switch (desc.kind) {
    case 'service':
      return [6, desc.file.services.indexOf(desc)];
    case 'rpc':
      return [...pathOf(desc.parent), 2, desc.parent.methods.indexOf(desc)];
    case 'message':
      return desc.parent
        ? [...pathOf(desc.parent), 3, desc.parent.nestedMessages.indexOf(desc)]
        : [4, desc.file.messages.indexOf(desc)];
    case 'field':
      return [...pathOf(desc.parent), 2, desc.parent.fields.indexOf(desc)];
    case 'enum':
      return desc.parent
        ? [...pathOf(desc.parent), 4, desc.parent.nestedEnums.indexOf(desc)]
        : [5, desc.file.enums.indexOf(desc)];
    case 'enum_value':
      return [...pathOf(desc.parent), 2, desc.parent.values.indexOf(desc)];
  }
}
