import { spawn } from 'node:child_process';
import { connect, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { NOT_A_UNIT_TEST } from './forbid-connections.ts';

test.each([
  ['connect', () => connect(5432, '127.0.0.1')],
  ['listen', () => createServer().listen(0, '127.0.0.1')],
  ['start a process', () => spawn(process.execPath, ['--version'])],
])('a unit test cannot %s', (_name, attempt) => {
  expect(attempt).toThrow(NOT_A_UNIT_TEST);
});

test('a unit test cannot send a request', async () => {
  await expect(fetch('http://127.0.0.1:80/')).rejects.toMatchObject({ cause: { message: NOT_A_UNIT_TEST } });
});
