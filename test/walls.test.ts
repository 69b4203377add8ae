// The plan of the house, held by lint: what a room must not reach.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const ROOMS = readdirSync('src', { withFileTypes: true }).filter((entry) => entry.isDirectory());
const FORBIDDEN: [room: string, imported: string][] = [
  ...ROOMS.filter(({ name }) => name !== 'telemetry').map(({ name }): [string, string] => [name, '@opentelemetry/api']),
  ['domain', './../store/store.ts'],
  ['domain', 'node:fs'],
  ['verifier', '../store/store.ts'],
  ['verifier', '../log.ts'],
  ['verifier', '@connectrpc/connect'],
  ['store', '../verifier/verifier.ts'],
  ['store', '../../gen/latchkey/auth/v1/types_pb.ts'],
  ['limits', '../store/store.ts'],
  ['passwords', '../verifier/verifier.ts'],
  ['keys', '../auth/login.ts'],
  ['changes', '../auth/login.ts'],
  ['changes', 'kysely'],
  ['verifier', '../changes/change-feed.ts'],
  ['store', '../changes/change-feed.ts'],
  ['auth', '../server/rpc.ts'],
  ['auth', 'kysely'],
  ['auth', '../redis/open-redis.ts'],
  ['redis', '../limits/limiter.ts'],
  ['redis', '../jobs/queues.ts'],
  ['account', '../jobs/worker.ts'],
  ['account', '../admin/grant-role.ts'],
  ['admin', '../server/rpc.ts'],
  ['admin', 'kysely'],
  ['cli', 'pg'],
  ['cli', '@connectrpc/connect'],
  ['server', '../cli/users.ts'],
  ['jobs', '../auth/login.ts'],
  ['server', 'pg'],
  ['server', '../limits/limiter.ts'],
  ['client', '../server/errors.ts'],
  ['client', '../log.ts'],
  ['server', '../client/latchkey.ts'],
  ['dev', '@connectrpc/connect'],
  ['grpc', '../server/errors.ts'],
  ['oauth', '../store/store.ts'],
  ['oauth', '../auth/login.ts'],
  ['server', '../oauth/providers.ts'],
  ['store', '../telemetry/metrics.ts'],
  ['telemetry', '../server/call-log.ts'],
  ['telemetry', '../config.ts'],
  ['.', 'pg'],
  ['.', '../gen/latchkey/auth/v1/types_pb.ts'],
];

let folder: string;
let report: { location: { path: string }; category: string }[];

/** One sample file for each line above, linted together under this project's rules. */
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'latchkey-walls-'));
  copyFileSync('biome.json', join(folder, 'biome.json'));
  symlinkSync(resolve('node_modules'), join(folder, 'node_modules'));
  FORBIDDEN.forEach(([room, imported], n) => {
    write(sample(room, n), `import { x } from '${imported}';\n\nexport const y = x;\n`);
  });
  write('src/auth/environment.ts', 'export const y = process.env.X;\n');
  const args = ['lint', '--vcs-enabled=false', '--max-diagnostics=none', '--reporter=json', 'src'];
  const { stdout } = spawnSync(resolve('node_modules/.bin/biome'), args, { cwd: folder, encoding: 'utf8' });
  report = JSON.parse(stdout).diagnostics;
});
afterAll(() => rmSync(folder, { recursive: true }));

function write(file: string, code: string): void {
  mkdirSync(dirname(join(folder, file)), { recursive: true });
  writeFileSync(join(folder, file), code);
}

function sample(room: string, n: number): string {
  return join('src', room, `sample-${n}.ts`);
}

const rulesBroken = (file: string) =>
  report.filter(({ location }) => location.path === file).map(({ category }) => category);

test.each(FORBIDDEN.map(([room, imported], n) => [room, imported, n] as const))(
  '%s must not import %s',
  (room, _, n) => {
    expect(rulesBroken(sample(room, n))).toContain('lint/style/noRestrictedImports');
  },
);

test('the environment is read in one place', () => {
  expect(rulesBroken('src/auth/environment.ts')).toContain('lint/style/noProcessEnv');
});
