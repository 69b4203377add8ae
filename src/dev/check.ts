// `npm run check`: everything that can be checked without running the service. Prints what failed, and fails with it.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { migrationProblems } from './migration-changes.ts';
import { referenceProblems } from './reference/pages.ts';
import { supplyChainProblems } from './supply-chain.ts';

const BIN = 'node_modules/.bin';

/** In their order; each is a command line. */
const CHECKS: [name: string, command: string, args: string[]][] = [
  ['types', `${BIN}/tsc`, ['-p', '.']],
  ['lint and format', `${BIN}/biome`, ['check', '--error-on-warnings']],
  ['dead code and dependencies', `${BIN}/knip`, []],
  ['proto lint', `${BIN}/buf`, ['lint']],
  ['proto format', `${BIN}/buf`, ['format', '--diff', '--exit-code', 'proto']],
  ['proto breaking changes', `${BIN}/buf`, ['breaking', '--against', `.git#ref=${baseline()}`]],
];

/** What a change may not break: the newest main that this is not; on main itself, the commit before. */
function baseline(): string {
  const [head, main] = [revision('HEAD'), revision('main') ?? revision('origin/main')];
  if (main && main !== head) return main;
  return revision('HEAD~1') ?? 'HEAD';
}

function revision(name: string): string | null {
  const { status, stdout } = spawnSync('git', ['rev-parse', '--verify', '--quiet', `${name}^{commit}`], {
    encoding: 'utf8',
  });
  return status === 0 ? stdout.trim() : null;
}

/** Generates into another folder and compares, so that the work tree stays as it is. */
function isGeneratedCodeInStep(): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-gen-'));
  try {
    const generate = (...args: string[]) => passes(`${BIN}/buf`, ['generate', '--output', folder, ...args]);
    const envoy = ['--config', 'buf.envoy.yaml', '--template', 'buf.gen.envoy.yaml'];
    return generate() && generate(...envoy) && passes('diff', ['-r', 'gen', join(folder, 'gen')]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function passes(command: string, args: string[]): boolean {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) process.stdout.write(`${stdout ?? ''}${stderr ?? ''}\n`);
  return status === 0;
}

let failed = 0;
const report = (name: string, passed: boolean) => {
  console.log(`${passed ? 'ok    ' : 'FAILED'} ${name}`);
  if (!passed) failed += 1;
};
for (const [name, command, args] of CHECKS) report(name, passes(command, args));
report('generated code in step', isGeneratedCodeInStep());
const root = fileURLToPath(new URL('../../', import.meta.url));
const reportProblems = (name: string, problems: string[]) => {
  for (const problem of problems) console.log(problem);
  report(name, problems.length === 0);
};
reportProblems('reference pages in step', referenceProblems(root));
reportProblems('everything that is downloaded is pinned', supplyChainProblems(root));
reportProblems('committed migrations are unchanged', migrationProblems(root));
process.exitCode = failed > 0 ? 1 : 0;
