// Helm, grpcurl and the validator of manifests, which Go builds from their modules. `npm run test:deploy` builds them once; other runs use them
// only when they are there, because a build takes minutes.
import { execFile, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { processEnvironment } from '../../src/config/config.ts';
import { onPath } from '../../src/dev/find-program.ts';
import { GO_PROGRAMS } from '../support/program.ts';

const run = promisify(execFile);
const ENVIRONMENT = processEnvironment() as NodeJS.ProcessEnv;
const MODULES = {
  helm: 'helm.sh/helm/v4/cmd/helm@v4.3.2',
  grpcurl: 'github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4',
};
const VALIDATOR = 'test/deploy/validate';
export const CHART = 'deploy/helm/latchkey';
export const MANIFESTS = 'deploy/kubernetes/latchkey.yaml';

export type DeployTools = { helm: string; validator: string };

/** Null when they are not built. */
export function deployTools(): DeployTools | null {
  const helm = onPath(['helm'], `${ENVIRONMENT.PATH}:${GO_PROGRAMS}`)?.path;
  const validator = join(GO_PROGRAMS, 'validate');
  return helm && existsSync(validator) ? { helm, validator } : null;
}

/** @throws without a Go toolchain */
export async function buildDeployTools(): Promise<DeployTools> {
  const go = onPath(['go'], `${ENVIRONMENT.PATH}:/usr/local/go/bin`)?.path;
  if (!go) throw new Error('the checks of the Helm chart require a Go toolchain on PATH');
  for (const [name, module] of Object.entries(MODULES)) {
    if (onPath([name], `${ENVIRONMENT.PATH}:${GO_PROGRAMS}`)) continue;
    await run(go, ['install', module], { env: { ...ENVIRONMENT, GOBIN: GO_PROGRAMS, GOFLAGS: '-p=2' } });
  }
  const options = { cwd: VALIDATOR, env: { ...ENVIRONMENT, GOFLAGS: '-p=2 -mod=readonly' } };
  await run(go, ['build', '-o', join(GO_PROGRAMS, 'validate'), '.'], options);
  const tools = deployTools();
  if (!tools) throw new Error('go built no helm');
  return tools;
}

/** @throws with Helm's message for invalid values */
export async function render({ helm }: DeployTools, args: string[]): Promise<string> {
  const { stdout } = await run(helm, ['template', 'latchkey', CHART, ...args], { maxBuffer: 1 << 26 });
  return stdout;
}

/** @returns the problems, one a line; empty when every document is valid */
export async function validate({ validator }: DeployTools, manifests: string): Promise<string> {
  const child = spawn(validator, { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.end(manifests);
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const [output, problems, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return code === 0 ? '' : problems || output;
}

const HEAD = `# Latchkey on Kubernetes without Helm, rendered from deploy/helm/latchkey by \`npm run render:manifests\`: do not edit.
# Replace the image and the example hosts, and create two secrets: \`latchkey\` with DATABASE_URL, REDIS_URL, SMTP_URL, MASTER_KEY and
# SERVICE_KEYS, and \`latchkey-owner\` with MIGRATION_DATABASE_URL. docs/guides/kubernetes.md has the commands. Before each release apply
# the Job first, under a new name.
`;

/** Without the labels and comments of Helm, and without its test. */
export async function renderManifests(tools: DeployTools): Promise<string> {
  const rendered = await render(tools, ['--skip-tests', '-f', 'deploy/kubernetes/values.yaml']);
  const lines = rendered
    .split('\n')
    .filter((line) => !/^# Source: |helm\.sh\/chart: |managed-by: Helm|^\s*$/.test(line));
  return (
    HEAD +
    lines
      .join('\n')
      .replace(/^---\n/, '')
      .concat('\n')
  );
}

export const readManifests = (): string => readFileSync(MANIFESTS, 'utf8');
