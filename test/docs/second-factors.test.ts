// The guide to second factors as a newcomer types it, beside `npm start`.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { auth, viaFetch } from '../support/clients.ts';
import { shellBlock } from '../support/doc-blocks.ts';
import { eventually } from '../support/eventually.ts';
import { isReady, prepareNpmStart } from '../support/npm-start.ts';
import type { RunningProcess } from '../support/processes.ts';

const GUIDE = 'docs/guides/second-factors.md';
const { home, port, start, pasteBlocks } = await prepareNpmStart();
let started: RunningProcess;

beforeAll(async () => {
  started = start();
  await eventually(() => isReady(started), 60_000);
}, 90_000);
afterAll(async () => {
  process.kill(-(started.child.pid as number), 'SIGINT');
  await started.ended;
  rmSync(home, { recursive: true, force: true });
});

test('adds an authenticator app, signs in with it and steps up', () => {
  pasteBlocks(
    GUIDE,
    'An account that signs in with a password',
    'The secret of an authenticator app',
    'The first code adds the app',
    'The password, and then a code',
    'A step-up, here with a recovery code',
  );
  expect(readFileSync(join(home, 'qr-code.svg'), 'utf8')).toContain('</svg>');
}, 90_000);

test('starts the web application by the commands of the guide to browser sessions, on a page with passkeys', async () => {
  const title = 'Start the web application';
  expect(shellBlock(GUIDE, title)).toBe(shellBlock('docs/guides/browser-sessions.md', title));
  const origins = `http://localhost:${port},http://localhost:9002`;
  expect(readFileSync(join(home, 'env'), 'utf8')).toContain(`WEBAUTHN_ORIGINS='${origins}'`);
  const { body } = await viaFetch(`http://localhost:${port}`)(auth.startPasskeySignIn, {});
  expect(JSON.parse(body.challenge.passkeyRequestOptions).rpId).toBe('localhost');
});
