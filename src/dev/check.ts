// `npm run check`: every check that needs no running service.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { descriptorSetProblems } from './descriptor-set.ts';
import { languageProblemsOf } from './language.ts';
import { migrationProblems } from './migration-changes.ts';
import { referenceProblems } from './reference/pages.ts';
import { supplyChainProblems } from './supply-chain.ts';

const BIN = 'node_modules/.bin';
const ROOT = fileURLToPath(new URL('../../', import.meta.url));

const CHECKS: [name: string, passes: () => boolean][] = [
  ['types', () => passes(`${BIN}/tsc`, ['-p', '.'])],
  ['lint and format', () => passes(`${BIN}/biome`, ['check', '--error-on-warnings'])],
  ['dead code and dependencies', () => passes(`${BIN}/knip`, [])],
  ['proto lint', () => passes(`${BIN}/buf`, ['lint'])],
  ['proto format', () => passes(`${BIN}/buf`, ['format', '--diff', '--exit-code', 'proto'])],
  ['proto breaking changes', () => passes(`${BIN}/buf`, ['breaking', '--against', `.git#ref=${baseline()}`])],
  ['generated code in step', isGeneratedCodeInStep],
  ['descriptor set in step', () => isEmpty(descriptorSetProblems(ROOT))],
  ['generated pages in step', () => isEmpty(referenceProblems(ROOT))],
  ['downloads pinned', () => isEmpty(supplyChainProblems(ROOT))],
  ['committed migrations unchanged', () => isEmpty(migrationProblems(ROOT))],
  ['plain language', () => isEmpty(languageProblemsOf(ROOT))],
];

/** The commit whose contract must stay compatible: the tip of main, or on main itself the commit before. */
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

function isEmpty(problems: string[]): boolean {
  for (const problem of problems) console.log(problem);
  return problems.length === 0;
}

for (const [name, check] of CHECKS) {
  const passed = check();
  console.log(`${passed ? 'ok    ' : 'FAILED'} ${name}`);
  if (!passed) process.exitCode = 1;
}
