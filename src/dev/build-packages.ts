// `npm run build [folder]`: builds the two published packages: `dist/latchkey`, the service with its command line, and
// `dist/client`, the client library. Both are compiled, because Node strips no types below node_modules.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DESCRIPTOR_SET } from './descriptor-set.ts';

type Manifest = Record<string, unknown>;

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const [GIVEN] = process.argv.slice(2);
const DIST = resolve(GIVEN ?? join(ROOT, 'dist'));
const { version, license, engines, dependencies, devDependencies, description } = JSON.parse(
  readFileSync(join(ROOT, 'package.json'), 'utf8'),
);
const SHARED: Manifest = { version, license, type: 'module' };

const SERVICE_FILES = [DESCRIPTOR_SET, 'src/store/migrations', 'src/process/supported-node.mjs'];
/** `dev` and `mails` need development dependencies, so they run only in a clone of the repository. */
const ONLY_IN_A_CLONE = 'src/dev';

const CLIENT_DEPENDENCIES = [
  '@bufbuild/protobuf',
  '@connectrpc/connect',
  '@connectrpc/connect-node',
  '@connectrpc/connect-web',
];
/** An interceptor must come from the same copy of grpc-js as the service that uses it. */
const CLIENT_PEERS = ['@grpc/grpc-js'];

const service: Manifest = {
  name: 'latchkey',
  description,
  ...SHARED,
  ...gitHead(),
  engines,
  bin: { latchkey: 'src/main.js' },
  exports: { './package.json': './package.json' },
  dependencies,
};

const client: Manifest = {
  name: '@latchkey/client',
  description: 'The client library of Latchkey: typed clients, interceptors, and local verification of access tokens',
  ...SHARED,
  engines: { node: '>=20.10.0' },
  sideEffects: false,
  exports: {
    '.': entry('src/client/client'),
    './grpc-js': entry('src/client/grpc-js-interceptor'),
    './browser': entry('src/client/browser'),
    './proto/*': entry('gen/latchkey/auth/v1/*_pb'),
    './google/rpc/*': entry('gen/google/rpc/*_pb'),
    './latchkey.binpb': `./${DESCRIPTOR_SET}`,
    './package.json': './package.json',
  },
  dependencies: rangesOf(CLIENT_DEPENDENCIES),
  peerDependencies: rangesOf(CLIENT_PEERS),
  peerDependenciesMeta: Object.fromEntries(CLIENT_PEERS.map((name) => [name, { optional: true }])),
};

for (const folder of ['latchkey', 'client']) rmSync(join(DIST, folder), { recursive: true, force: true });
compile('latchkey', ['src/main.ts', 'src/passwords/hashing-main.ts'], false);
rmSync(join(DIST, 'latchkey', ONLY_IN_A_CLONE), { recursive: true });
for (const file of SERVICE_FILES) cpSync(join(ROOT, file), join(DIST, 'latchkey', file), { recursive: true });
complete('latchkey', service, join(ROOT, 'README.md'));
compile('client', ['src/client/client.ts', 'src/client/grpc-js-interceptor.ts', 'src/client/browser.ts'], true);
cpSync(join(ROOT, DESCRIPTOR_SET), join(DIST, 'client', DESCRIPTOR_SET));
complete('client', client, join(ROOT, 'src/client/README.md'));
if (!GIVEN) linkClient();

function compile(folder: string, files: string[], declaration: boolean): void {
  const config = {
    extends: join(ROOT, 'tsconfig.json'),
    compilerOptions: {
      noEmit: false,
      outDir: join(DIST, folder),
      rootDir: ROOT,
      declaration,
      rewriteRelativeImportExtensions: true,
      typeRoots: [join(ROOT, 'node_modules/@types')],
    },
    include: [],
    files: files.map((file) => join(ROOT, file)),
  };
  mkdirSync(DIST, { recursive: true });
  const path = join(DIST, `tsconfig.${folder}.json`);
  writeFileSync(path, JSON.stringify(config));
  const { status } = spawnSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', path], { stdio: 'inherit' });
  rmSync(path);
  if (status !== 0) process.exit(status ?? 1);
}

function complete(folder: string, manifest: Manifest, readme: string): void {
  const home = join(DIST, folder);
  writeFileSync(join(home, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  cpSync(readme, join(home, 'README.md'));
  cpSync(join(ROOT, 'LICENSE'), join(home, 'LICENSE'));
}

/** The name of npm's own field. Empty when this is no checkout. */
function gitHead(): Manifest {
  const { status, stdout } = spawnSync('git', ['rev-parse', 'HEAD'], { cwd: ROOT, encoding: 'utf8' });
  return status === 0 ? { gitHead: stdout.trim() } : {};
}

function entry(path: string): Manifest {
  return { types: `./${path}.d.ts`, default: `./${path}.js` };
}

/** A library accepts every compatible release. The service pins the releases that it was tested with. */
function rangesOf(names: string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, `^${dependencies[name] ?? devDependencies[name]}`]));
}

/** The examples import the library by its name. */
function linkClient(): void {
  const link = join(ROOT, 'node_modules/@latchkey/client');
  mkdirSync(dirname(link), { recursive: true });
  rmSync(link, { force: true });
  symlinkSync('../../dist/client', link, 'dir');
}
