// The real Envoy with a configuration of a test.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { startOwned, waitUntilReady } from '../../src/dev/owned-process.ts';
import { ENVOY, programOfWheel } from './wheel.ts';

/** Runs Envoy until the end of the test, with the admin page on this port. */
export async function startEnvoy(configuration: object, adminPort: number): Promise<void> {
  const { path } = await programOfWheel(ENVOY);
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-envoy-'));
  const admin = { address: socketAddress(adminPort) };
  writeFileSync(join(folder, 'envoy.json'), JSON.stringify({ admin, ...configuration }));
  const args = ['--config-path', join(folder, 'envoy.json'), '--use-dynamic-base-id', '--concurrency', '1'];
  const envoy = startOwned(path, [...args, '--log-level', 'warning'], { stopSignal: 'SIGTERM' });
  onTestFinished(async () => {
    await envoy.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  await waitUntilReady(envoy, 'Envoy', async () => {
    if (!(await fetch(`http://127.0.0.1:${adminPort}/ready`)).ok) throw new Error('not ready');
  });
}

export function socketAddress(port: number): object {
  return { socket_address: { address: '127.0.0.1', port_value: port } };
}

/** The address that Envoy writes to x-forwarded-for in place of a client's on the same machine. */
export function addressOfEnvoy(): string {
  const all = Object.values(networkInterfaces()).flatMap((addresses = []) => addresses);
  return all.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1';
}
