// proto/latchkey.binpb describes every service and the details of its errors, with comments. Tools such as grpcurl read it
// where reflection is off.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const DESCRIPTOR_SET = 'proto/latchkey.binpb';

/** The files of the set. The files that they import are added. */
const CONTENT = [
  'proto/latchkey',
  'node_modules/@grpc/grpc-js-xds/deps/googleapis/google/rpc/error_details.proto',
  'node_modules/@grpc/grpc-js-xds/deps/envoy-api/envoy/service/auth/v3/external_auth.proto',
  'node_modules/grpc-health-check/proto/health',
  'node_modules/@grpc/reflection/build/proto/grpc',
];

/** @throws when the contract does not compile */
export function writeDescriptorSet(root: string, output = join(root, DESCRIPTOR_SET)): void {
  const paths = CONTENT.flatMap((path) => ['--path', path]);
  const args = ['build', '.', '--config', 'buf.descriptors.yaml', '--as-file-descriptor-set', ...paths, '-o', output];
  const { status } = spawnSync(join(root, 'node_modules/.bin/buf'), args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) throw new Error(`buf could not build ${output}`);
}

export function descriptorSetProblems(root: string): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-descriptors-'));
  try {
    const built = join(folder, 'latchkey.binpb');
    writeDescriptorSet(root, built);
    const isInStep = readFileSync(built).equals(readFileSync(join(root, DESCRIPTOR_SET)));
    return isInStep ? [] : [`${DESCRIPTOR_SET} does not match the contract: npm run generate`];
  } finally {
    rmSync(folder, { recursive: true });
  }
}
