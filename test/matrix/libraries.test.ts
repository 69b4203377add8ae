// One library of each language that installs quickly, and Envoy. `npm run matrix` runs all.
import { beforeAll, describe, expect, test } from 'vitest';
import { build, isAtHand } from '../support/toolchain.ts';
import { type Judgement, judge, startProgram } from './contender.ts';
import { startEnvoyVerifier } from './envoy.ts';
import { LIBRARIES } from './libraries.ts';
import { type Deployment, deploy, UNCHECKED } from './tokens.ts';

const QUICK = ['jose', 'PyJWT', 'golang-jwt'];

let deployment: Deployment;

beforeAll(async () => {
  deployment = await deploy('ES256');
  return () => deployment.close();
});

function expectRight({ why, wronglyAccepted }: Judgement) {
  expect(why).toBeNull();
  expect(wronglyAccepted.filter((name) => !UNCHECKED.includes(name))).toEqual([]);
}

describe('accepts tokens of users and services, and rejects all others', () => {
  test.for(LIBRARIES.filter(({ name }) => QUICK.includes(name)))(
    '$name',
    { timeout: 180_000 },
    async (library, { skip }) => {
      if (!(await isAtHand(library.language))) skip(`${library.language.name} is not installed`);
      await build(library.language);
      expectRight(await judge(startProgram(library, deployment), deployment.cases));
    },
  );

  test('Envoy', { timeout: 180_000 }, async () => {
    expectRight(await judge(await startEnvoyVerifier(deployment), deployment.cases));
  });
});
