// The units of deploy/systemd, checked by the real systemd-analyze. Nothing here starts them.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readConfig } from '../../src/config/config.ts';
import { findProgram } from '../support/program.ts';

const run = promisify(execFile);
const UNITS = readdirSync('deploy/systemd');
/** The scale of systemd-analyze: 0 is the least exposed, 100 the most. */
const MOST_EXPOSED = 20;
const CLOSING_SECONDS = 10;
/** Variables that systemd itself sets for a service. */
const OF_SYSTEMD = {
  CREDENTIALS_DIRECTORY: '/run/credentials/latchkey.service',
  INVOCATION_ID: '0123456789abcdef0123456789abcdef',
  JOURNAL_STREAM: '8:1234',
  STATE_DIRECTORY: '/var/lib/latchkey',
  SYSTEMD_EXEC_PID: '1234',
  MEMORY_PRESSURE_WATCH: '/sys/fs/cgroup/x/memory.pressure',
};
const VALUES: Record<string, string> = {
  DATABASE_URL: 'postgres://latchkey:0a1b2c3d4e5f6071@db/latchkey?sslmode=verify-full',
  REDIS_URL: 'rediss://cache',
  SMTP_URL: 'smtps://mail',
  MASTER_KEY: randomBytes(32).toString('base64'),
  SERVICE_KEYS: `orders=${randomBytes(16).toString('hex')}`,
};

let folder: string;
let analyze: (...args: string[]) => Promise<{ stdout: string; stderr: string }>;
beforeAll(async () => {
  const program = await findProgram('systemd', 'usr/bin/systemd-analyze');
  folder = mkdtempSync(join(tmpdir(), 'latchkey-units-'));
  // The check requires that the programs and folders of a unit exist.
  for (const unit of UNITS) {
    const text = unitOf(unit).replace(/ExecStart=\S+/, 'ExecStart=/bin/true');
    writeFileSync(join(folder, unit), text.replace(/WorkingDirectory=.*/, 'WorkingDirectory=/'));
  }
  const env = { PATH: '/usr/bin', SYSTEMD_UNIT_PATH: `${folder}:`, LD_LIBRARY_PATH: program.libraryPath };
  analyze = (...args) => run(program.path, args, { env });
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true }));

function unitOf(name: string): string {
  return readFileSync(join('deploy/systemd', name), 'utf8');
}

test.each(UNITS)('%s is valid and exposes little', async (unit) => {
  expect(await analyze('verify', '--man=no', join(folder, unit))).toEqual({ stdout: '', stderr: '' });
  const options = ['--offline=true', `--threshold=${MOST_EXPOSED}`, '--no-pager'];
  await expect(analyze('security', ...options, join(folder, unit))).resolves.toBeDefined();
});

test.each(['latchkey.service', 'latchkey-worker.service'])(
  '%s sets a valid configuration from its credentials',
  (unit) => {
    const credentials = new Set([...unitOf(unit).matchAll(/^LoadCredential=([a-z-]+):/gm)].map(([, name]) => name));
    const files = [...unitOf(unit).matchAll(/([A-Z_]+)_FILE=%d\/([a-z-]+)/g)].map(([, key = '', name = '']) => ({
      key,
      name,
    }));
    expect(new Set(files.map(({ name }) => name))).toEqual(credentials);
    const paths = files.map(({ key, name }) => {
      writeFileSync(join(folder, name), VALUES[key] ?? '');
      return [`${key}_FILE`, join(folder, name)];
    });
    const config = readConfig({
      ...Object.fromEntries(paths),
      ...OF_SYSTEMD,
      NODE_ENV: 'production',
      PUBLIC_URL: 'https://product.example',
      MAIL_FROM: 'no-reply@product.example',
    });
    const { shutdownDelayMs, shutdownGraceMs } = config.process;
    const timeout = Number(/^TimeoutStopSec=(\d+)$/m.exec(unitOf(unit))?.[1]);
    expect(timeout).toBeGreaterThan((shutdownDelayMs + shutdownGraceMs) / 1000 + CLOSING_SECONDS);
  },
);
