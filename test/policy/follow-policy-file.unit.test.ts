import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { followPolicyFile } from '../../src/policy/follow-policy-file.ts';
import { eventually } from '../support/eventually.ts';

const OPEN = 'routes: [{ path: /, access: public }]';
const CLOSED = 'routes: [{ path: /, role: admin }]';
const EVERY_MS = 10;

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'latchkey-policy-'));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

async function followed(path: string) {
  const [changes, rejections]: [string[], string[][]] = [[], []];
  const policy = await followPolicyFile({
    path,
    everyMs: EVERY_MS,
    onChange: () => changes.push('change'),
    onRejected: (problems) => rejections.push(problems),
  });
  onTestFinished(() => policy.close());
  const access = () => policy.current().requirementFor('x', '/').access;
  return { policy, changes, rejections, access };
}

test('a changed file is in use, and an invalid one is rejected once and leaves the former in use', async () => {
  const path = join(folder(), 'policy.yaml');
  writeFileSync(path, CLOSED);
  const { policy, changes, rejections, access } = await followed(path);
  expect(access()).toBe('required');
  writeFileSync(path, OPEN);
  await eventually(() => access() === 'public');
  writeFileSync(path, `${OPEN}\nx: 1`);
  await eventually(() => policy.isOutdated());
  await new Promise((resolve) => setTimeout(resolve, 10 * EVERY_MS));
  expect(rejections).toEqual([['the file must have one member, routes, with a list']]);
  expect(access()).toBe('public');
  unlinkSync(path);
  await eventually(() => rejections.length === 2);
  expect(rejections[1]).toEqual(['the file cannot be read: ENOENT']);
  writeFileSync(path, CLOSED);
  await eventually(() => access() === 'required');
  expect([policy.isOutdated(), changes.length]).toEqual([false, 2]);
});

test('a repaired file ends the problem, also with the former content', async () => {
  const path = join(folder(), 'policy.yaml');
  writeFileSync(path, OPEN);
  const { policy, changes } = await followed(path);
  writeFileSync(path, Buffer.from([0xff, 0xfe]));
  await eventually(() => policy.isOutdated());
  writeFileSync(path, OPEN);
  await eventually(() => !policy.isOutdated());
  expect(changes).toEqual([]);
});

test('the swapped link of a ConfigMap is a change', async () => {
  const mount = folder();
  for (const [version, text] of [
    ['..1', OPEN],
    ['..2', CLOSED],
  ] as const) {
    mkdirSync(join(mount, version));
    writeFileSync(join(mount, version, 'policy.yaml'), text);
  }
  symlinkSync('..1', join(mount, '..data'));
  symlinkSync('..data/policy.yaml', join(mount, 'policy.yaml'));
  const { access } = await followed(join(mount, 'policy.yaml'));
  symlinkSync('..2', join(mount, '..new'));
  renameSync(join(mount, '..new'), join(mount, '..data'));
  await eventually(() => access() === 'required');
});

test('at the start an invalid file is an error with every problem', async () => {
  const path = join(folder(), 'policy.yaml');
  await expect(followed(path)).rejects.toThrow('invalid POLICY_FILE:\n  the file cannot be read: ENOENT');
  writeFileSync(path, 'routes:\n- path: a\n- rol: x\n');
  await expect(followed(path)).rejects.toThrow(/line 2: path must[^\n]*\n {2}line 3: rol is not/);
});
