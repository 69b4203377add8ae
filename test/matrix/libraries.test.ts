// One library of each language that installs quickly. `npm run matrix` runs all.
import { beforeAll, describe, expect, test } from 'vitest';
import { build, isAtHand } from '../support/toolchain.ts';
import { judge, UNCHECKED } from './judge.ts';
import { LIBRARIES } from './libraries.ts';
import { type Deployment, deploy } from './tokens.ts';

const QUICK = ['jose', 'PyJWT', 'golang-jwt'];

let deployment: Deployment;

beforeAll(async () => {
  deployment = await deploy('ES256');
  return () => deployment.close();
});

describe.each(LIBRARIES.filter(({ name }) => QUICK.includes(name)))('$name', (library) => {
  test('accepts tokens of users and services, and rejects all others', { timeout: 180_000 }, async ({ skip }) => {
    if (!(await isAtHand(library.language))) skip(`${library.language.name} is not installed`);
    await build(library.language);
    const { why, wronglyAccepted } = await judge(library, deployment);
    expect(why).toBeNull();
    expect(wronglyAccepted.filter((name) => !UNCHECKED.includes(name))).toEqual([]);
  });
});
