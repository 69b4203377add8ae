import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { RELEASE } from '../../src/process/release.ts';
import { runMain } from '../support/processes.ts';

const COMMIT = '0123456789ab';

test('--version prints the commit of LATCHKEY_COMMIT', async () => {
  const running = runMain(['--version'], { LATCHKEY_COMMIT: COMMIT });
  expect(await running.ended).toBe(0);
  expect(running.output()).toBe(`latchkey ${RELEASE} (${COMMIT}), Node ${process.versions.node}\n`);
});

test('the image and docker-compose.yml pass LATCHKEY_COMMIT from the build to the service', () => {
  const [, stage = ''] = /\nFROM [^\n]*\n(?!.*\nFROM )(.*)$/s.exec(readFileSync('Dockerfile', 'utf8')) ?? [];
  expect(stage).toMatch(/^ARG LATCHKEY_COMMIT=$/m);
  expect(stage).toMatch(/^ENV .*\bLATCHKEY_COMMIT=\$LATCHKEY_COMMIT$/m);
  expect(readFileSync('docker-compose.yml', 'utf8')).toMatch(/^ +args: \{ LATCHKEY_COMMIT: /m);
});
