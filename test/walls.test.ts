// The imports of src follow the table of layers: a folder imports from the layers below it alone.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { expect, test } from 'vitest';
import { LAYERS, ONLY, RESERVED } from '../src/dev/layers.ts';

const IMPORTED = /(?:^(?:import|export)\b[^;'"=]*?\bfrom\s+|^import\s+|\bimport\()['"]([^'"\n]+)['"]/gm;
const DEPTHS = new Map(LAYERS.flatMap((rooms, depth) => rooms.map(({ name }) => [name, depth] as const)));

/** The longest matching name, or null for a file outside the table. */
function roomOf(path: string): string | null {
  const names = [...DEPTHS.keys()].filter((name) => path === `src/${name}` || path.startsWith(`src/${name}/`));
  return names.toSorted((a, b) => b.length - a.length)[0] ?? null;
}

/** A sentence for each import that the table forbids. */
function problemsOf(path: string, text: string): string[] {
  const room = roomOf(path);
  if (room === null) return [`${path} belongs to no room of src/dev/layers.ts`];
  const imported = [...text.matchAll(IMPORTED)].map(([, name = '']) => name);
  return imported.flatMap((name) => {
    const problem = name.startsWith('.')
      ? fileProblem(room, normalize(join(dirname(path), name)))
      : packageProblem(room, name);
    return problem === null ? [] : [`${path} imports ${name}: ${problem}`];
  });
}

function fileProblem(room: string, target: string): string | null {
  if (!target.startsWith('src/')) return packageProblem(room, target);
  const other = roomOf(target);
  if (other === room) return null;
  if (other === null) return 'it belongs to no room';
  if (ONLY[room] && !ONLY[room].includes(other)) return `${room} imports ${ONLY[room].join(', ')} alone`;
  return (DEPTHS.get(other) ?? 0) < (DEPTHS.get(room) ?? 0) ? null : `${other} is not below ${room}`;
}

function packageProblem(room: string, name: string): string | null {
  if (room === 'domain') return ONLY.domain?.includes(name) ? null : 'domain imports its own folder alone';
  const isOf = (reserved: string) =>
    name === reserved || name.startsWith(reserved.endsWith('/') ? reserved : `${reserved}/`);
  const rule = RESERVED.find(({ packages }) => packages.some(isOf));
  return !rule || rule.rooms.includes(room) ? null : `only ${rule.rooms.join(', ')} may`;
}

const files = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter((name) => /\.m?[jt]s$/.test(name))
  .map((name) => join('src', name));

test('every import goes to a layer below', () => {
  expect(files.flatMap((path) => problemsOf(path, readFileSync(path, 'utf8')))).toEqual([]);
});

test('every folder of the table exists', () => {
  const used = new Set(files.map(roomOf));
  expect([...DEPTHS.keys()].filter((name) => !used.has(name))).toEqual([]);
});

test('every reserved package is imported by each folder that may import it', () => {
  const idle = RESERVED.flatMap(({ packages, rooms }) =>
    rooms.filter((room) => {
      const texts = files.filter((path) => roomOf(path) === room).map((path) => readFileSync(path, 'utf8'));
      return !texts.some((text) => packages.some((name) => text.includes(`'${name}`) || text.includes(`/${name}`)));
    }),
  );
  expect(idle).toEqual([]);
});

test.each([
  ['src/domain/sample.ts', '../store/store.ts'],
  ['src/domain/sample.ts', 'node:fs'],
  ['src/domain/sample.ts', 'uuid'],
  ['src/verifier/sample.ts', '../store/store.ts'],
  ['src/store/sample.ts', '../verifier/../revocation-feed/watchers.ts'],
  ['src/store/postgres/sample.ts', '../store.ts'],
  ['src/limits/sample.ts', '../redis/connect-redis.ts'],
  ['src/auth/sample.ts', '../server/rpc/rpc.ts'],
  ['src/auth/sample.ts', 'kysely'],
  ['src/auth/sample.ts', 'kysely/helpers/postgres'],
  ['src/account/sample.ts', '../jobs/../cli/users.ts'],
  ['src/server/transport/sample.ts', '../calls/call-log.ts'],
  ['src/server/transport/sample.ts', '@connectrpc/connect'],
  ['src/server/calls/sample.ts', '../rpc/rpc.ts'],
  ['src/client/sample.ts', '../process/log.ts'],
  ['src/cli/sample.ts', '../../gen/latchkey/auth/v1/types_pb.ts'],
  ['src/process/sample.ts', '@opentelemetry/api'],
  ['src/app.ts', './main.ts'],
  ['src/sample.ts', './app.ts'],
])('%s must not import %s', (path, name) => {
  expect(problemsOf(path, `import { x } from '${name}';\n`)).toHaveLength(1);
});

test.each([
  "import '../store/store.ts';",
  "export { x } from '../store/store.ts';",
  "await import('../store/store.ts');",
])('finds the import in %s', (line) => {
  expect(problemsOf('src/domain/sample.ts', `import { a } from './role.ts';\n${line}\n`)).toHaveLength(1);
});
