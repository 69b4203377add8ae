// Checks, without network access, that every download is pinned by its content.
import { readFileSync } from 'node:fs';
import { isInRange } from '../process/supported-node.mjs';

type Lock = { packages: Record<string, { version?: string; resolved?: string; integrity?: string }> };

const REGISTRY = 'https://registry.npmjs.org/';
const INTEGRITY = /^sha512-[A-Za-z0-9+/]{86}==$/;
const DIGEST = /@sha256:[0-9a-f]{64}$/;
const IMAGE_REFERENCE = /^\s*(?:FROM(?:\s+--\S+)*|COPY\s+--from=|image:)\s*(\S+)(?:\s+AS\s+(\S+))?/i;

const ACTION = /^\s*(?:- )?uses:\s*(\S+)/;
const COMMIT = /@[0-9a-f]{40}$/;
const WORKFLOWS = ['.github/workflows/ci.yml', '.github/workflows/nightly.yml'];

/** @param root the folder of package.json, with a trailing slash */
export function supplyChainProblems(root: string): string[] {
  const read = (file: string) => readFileSync(`${root}${file}`, 'utf8');
  const { engines } = JSON.parse(read('package.json')) as { engines: { node: string } };
  const nodeLock = JSON.parse(read('src/dev/node/package-lock.json')) as Lock;
  return [
    ...lockProblems(JSON.parse(read('package-lock.json'))).map((problem) => `package-lock.json: ${problem}`),
    ...lockProblems(nodeLock).map((problem) => `src/dev/node/package-lock.json: ${problem}`),
    ...nodeProblems(read('.node-version').trim(), engines.node, nodeLock),
    ...imageProblems(read('Dockerfile')).map((problem) => `Dockerfile: ${problem}`),
    ...imageProblems(read('docker-compose.yml'), ['latchkey']).map((problem) => `docker-compose.yml: ${problem}`),
    ...imageProblems(read('.devcontainer/Dockerfile')).map((problem) => `.devcontainer/Dockerfile: ${problem}`),
    ...WORKFLOWS.flatMap((file) =>
      [...imageProblems(read(file)), ...actionProblems(read(file))].map((problem) => `${file}: ${problem}`),
    ),
  ];
}

/** An entry without `resolved` comes from the configured registry. Its integrity is checked in either case. */
export function lockProblems({ packages }: Lock): string[] {
  return Object.entries(packages)
    .filter(([path]) => path !== '')
    .flatMap(([path, { integrity = '', resolved = REGISTRY }]) => [
      ...(INTEGRITY.test(integrity) ? [] : [`${path} has no sha512 integrity`]),
      ...(resolved.startsWith(REGISTRY) ? [] : [`${path} does not come from ${REGISTRY}`]),
    ]);
}

export function nodeProblems(version: string, range: string, { packages }: Lock): string[] {
  const pinned = Object.entries(packages).filter(([path]) => path !== '');
  const others = pinned.filter(([, entry]) => entry.version !== version).map(([path]) => path);
  return [
    ...(isInRange(version, range) ? [] : [`.node-version: ${version} is not in the range of package.json, ${range}`]),
    ...others.map((path) => `src/dev/node/package-lock.json: ${path} is not ${version}: npm run pin-node`),
  ];
}

export function imageProblems(text: string, built: string[] = []): string[] {
  const local = new Set(built);
  const problems: string[] = [];
  for (const line of text.split('\n')) {
    const [, image, stage] = IMAGE_REFERENCE.exec(line) ?? [];
    if (!image) continue;
    if (!local.has(image) && !DIGEST.test(image)) problems.push(`${image} has no digest`);
    if (stage) local.add(stage);
  }
  return problems;
}

export function actionProblems(text: string): string[] {
  const actions = text.split('\n').flatMap((line) => ACTION.exec(line)?.[1] ?? []);
  return actions.filter((action) => !COMMIT.test(action)).map((action) => `${action} is not pinned to a commit`);
}
