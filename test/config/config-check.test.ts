// `config check` shows the configuration that a process would use, and no secret in any form.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { effectiveConfiguration } from '../../src/config/effective-settings.ts';
import { maskedPlain, maskedSecret } from '../../src/config/masked-value.ts';
import { serviceKeyFingerprint } from '../../src/keys/service-keys.ts';
import { runMain } from '../support/processes.ts';

const SECRET = 'hunter2hunter2';
const folder = mkdtempSync(join(tmpdir(), 'config-check-'));
afterAll(() => rmSync(folder, { recursive: true }));

const file = (name: string, text: string) => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};

const SERVICE_KEY = randomBytes(24).toString('base64url');
const GOOD = {
  DATABASE_URL: `postgres://latchkey:${SECRET}@db:5432/latchkey?sslmode=verify-full&password=${SECRET}`,
  REDIS_URL: `rediss://:${SECRET}@redis:6379`,
  SMTP_URL: `smtp://user:${SECRET}@mail:587`,
  PUBLIC_URL: 'https://product.example',
  MAIL_FROM: 'no-reply@product.example',
  MASTER_KEY_FILE: file('master', randomBytes(32).toString('base64')),
  SERVICE_KEYS: `gateway=${SERVICE_KEY}`,
  OAUTH_PROVIDERS: 'acme',
  OAUTH_ACME_CLIENT_ID: 'id',
  OAUTH_ACME_CLIENT_SECRET: SECRET,
  OAUTH_ACME_ISSUER: 'https://id.example',
  OAUTH_ACME_REDIRECT_URIS: 'https://app.example/callback',
};

const settingOf = (environment: Record<string, string>, name: string) =>
  effectiveConfiguration(environment).settings.find(({ key }) => key === name);

test('each key has its value without secrets, and the source of it', () => {
  const { settings, problems } = effectiveConfiguration(GOOD);
  expect(problems).toEqual([]);
  expect(JSON.stringify(settings)).not.toContain('hunter');
  expect(JSON.stringify(settings)).not.toContain(SERVICE_KEY);
  expect(settingOf(GOOD, 'DATABASE_URL')).toEqual({
    key: 'DATABASE_URL',
    value: 'postgres://latchkey:***@db:5432/latchkey?sslmode=verify-full&password=***',
    source: 'environment',
    isSecret: true,
  });
  expect(settingOf(GOOD, 'MASTER_KEY')).toMatchObject({ value: '***', source: 'file' });
  expect(settingOf(GOOD, 'PORT')).toMatchObject({ value: '8080', source: 'default' });
  expect(settingOf(GOOD, 'LIMIT_LOGIN_ACCOUNT')).toMatchObject({ source: 'default' });
  expect(settingOf(GOOD, 'POLICY_FILE')).toMatchObject({ value: null, source: 'none' });
  expect(settingOf(GOOD, 'OAUTH_ACME_CLIENT_SECRET')).toMatchObject({ value: '***', source: 'environment' });
  expect(settingOf(GOOD, 'SERVICE_KEYS')?.value).toBe(`gateway=*** (key ${serviceKeyFingerprint(SERVICE_KEY)})`);
});

describe('a secret is hidden', () => {
  test.each([
    `postgres://u:${SECRET}@h/d`,
    `postgres://u:a/${SECRET}@h/d`,
    `postgres://u:a@${SECRET}@h/d`,
    `postgres://u:a?${SECRET}@h/d`,
    `postgres://u:a#${SECRET}@h/d`,
    `postgres://${SECRET}@h/d`,
    `postgres://h1:5432,h2:5432/d?user=x&password=${SECRET}`,
    `redis://h/0?password=a@${SECRET}`,
    `redis://:${SECRET}`,
    `redis+sentinel://:x@a,b/main?sentinel_password=${SECRET}`,
    `smtp://h?${SECRET}`,
    `smtp://h?x&${SECRET}=1`,
    `postgres://h/d?sslmode=require%26password=${SECRET}`.replace('%26', '&'),
    `-----BEGIN PRIVATE KEY-----\n${SECRET}`,
    `key ${SECRET}`,
  ])('in the secret %s', (text) => {
    expect(maskedSecret('DATABASE_URL', text)).not.toContain('hunter');
  });

  test.each([
    `https://user:${SECRET}@collector:4317`,
    `https://collector?api_key=${SECRET}`,
    `https://a.example,https://u:${SECRET}@b.example`,
    `https://collector/#${SECRET}`,
    `-----BEGIN PRIVATE KEY-----\n${SECRET}\n-----END PRIVATE KEY-----`,
  ])('in the plain value %s', (text) => {
    expect(maskedPlain(text)).not.toContain('hunter');
  });

  test('that was put into another key', () => {
    expect(settingOf({ ...GOOD, PORT: SECRET }, 'PORT')?.value).toBe('(invalid)');
    expect(JSON.stringify(effectiveConfiguration({ ...GOOD, SERVICE_KEYS: `a=b=${SECRET},${SECRET}` }))).not.toContain(
      'hunter',
    );
  });
});

test('plain values stay as they are', () => {
  for (const value of [
    'https://app.example,https://b.example',
    'com.example.app:/callback',
    '10.0.0.0/8,::1',
    'a, b',
  ]) {
    expect(maskedPlain(value)).toBe(value);
  }
});

test('the command reports every problem, also of the policy file, and exits with 1', async () => {
  const environment = { ...GOOD, POLICY_FILE: file('policy.yaml', 'routes: 5\n'), ACCESS_TOKEN_TTL: '5', PORT: 'x' };
  const running = runMain(['config', 'check', '--json', '--set'], environment);
  expect(await running.ended).toBe(1);
  const { settings, problems } = JSON.parse(running.output().split('\n')[0] ?? '');
  expect(settings.find(({ key }: { key: string }) => key === 'PORT')).toMatchObject({ value: '(invalid)' });
  expect(settings.some(({ source }: { source: string }) => source === 'default')).toBe(false);
  expect(problems).toEqual([
    expect.stringMatching(/^ACCESS_TOKEN_TTL is unknown: did you mean ACCESS_TOKEN_TTL_SECONDS\?$/),
    expect.stringMatching(/^PORT must be/),
    expect.stringMatching(/^POLICY_FILE: /),
  ]);
  expect(running.output()).not.toContain('hunter');
});

test('the command prints a table for people, and exits with 0', async () => {
  const running = runMain(['config', 'check'], GOOD);
  expect(await running.ended).toBe(0);
  expect(running.output()).toMatch(/^KEY +VALUE +SOURCE +SECRET\n/);
  expect(running.output()).toMatch(/\nThe configuration is valid\.\n$/);
  expect(running.output()).not.toContain('hunter');
});
