// The real gateways with the configurations of examples/gateways, in front of a service that returns the request it received.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { freePort } from '../../src/dev/free-port.ts';
import { startOwned, waitUntilReady } from '../../src/dev/owned-process.ts';
import { findProgram } from './program.ts';

export type Gateway = {
  name: string;
  package: string;
  program: string;
  /** Files of examples/gateways; the gateway starts with the first one. */
  files: [string, ...string[]];
  args: (config: string, folder: string) => string[];
  /** The status of its response while Latchkey is unavailable. */
  closed: number;
};

export const HAPROXY: Gateway = {
  name: 'HAProxy',
  package: 'haproxy',
  program: 'usr/sbin/haproxy',
  files: ['haproxy.cfg', 'haproxy-auth.lua'],
  args: (config) => ['-db', '-f', config],
  closed: 503,
};
export const GATEWAYS: Gateway[] = [
  {
    name: 'nginx',
    package: 'nginx',
    program: 'usr/sbin/nginx',
    files: ['nginx.conf'],
    args: (config, folder) => [
      ...['-p', folder, '-c', config, '-e', 'stderr'],
      ...['-g', `daemon off; pid ${folder}/pid; master_process off;`],
    ],
    closed: 500,
  },
  {
    name: 'Caddy',
    package: 'caddy',
    program: 'usr/bin/caddy',
    files: ['Caddyfile'],
    args: (config) => ['run', '--config', config, '--adapter', 'caddyfile'],
    closed: 502,
  },
  HAPROXY,
];

/** Runs until the end of the test. @param upstream the port of the service behind it @returns its URL */
export async function startGateway(gateway: Gateway, latchkeyUrl: string, upstream: number): Promise<string> {
  const found = await findProgram(gateway.package, gateway.program);
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-gateway-'));
  const port = await freePort();
  const scratch = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const temporary = scratch.map((name) => `${name}_temp_path ${folder}/${name};`).join(' ');
  for (const name of gateway.files) {
    const text = readFileSync(join('examples/gateways', name), 'utf8')
      .replaceAll('localhost:8080', new URL(latchkeyUrl).host)
      .replaceAll('localhost:9000', `127.0.0.1:${upstream}`)
      .replace('listen 8000;', `listen 127.0.0.1:${port}; access_log off; ${temporary}`)
      .replace('http://:8000 {', `{\n\tadmin off\n\tauto_https off\n}\nhttp://127.0.0.1:${port} {`)
      .replace('bind :8000', `bind 127.0.0.1:${port}`)
      .replace('/etc/haproxy', folder)
      .replace('abns@latchkey', `abns@${basename(folder)}`);
    writeFileSync(join(folder, name), text);
  }
  // Without a home Caddy would store its data in this folder.
  const home = [`XDG_CONFIG_HOME=${folder}`, `XDG_DATA_HOME=${folder}`];
  const args = gateway.args(join(folder, gateway.files[0]), folder);
  const running = startOwned('/usr/bin/env', [...home, found.path, ...args], {
    stopSignal: 'SIGTERM',
    libraryPath: found.libraryPath,
  });
  onTestFinished(async () => {
    await running.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const url = `http://127.0.0.1:${port}`;
  await waitUntilReady(running, gateway.name, async () => void (await fetch(`${url}/public/`)));
  return url;
}

/** A service that returns the headers and the path of a request, and the length of its body. */
export function startUpstream(): Promise<http.Server> {
  return serve((request, response) => {
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    request.on('end', () =>
      response.end(JSON.stringify({ ...request.headers, ':path': request.url, ':bytes': String(bytes) })),
    );
  });
}

export async function serve(listener: http.RequestListener): Promise<http.Server> {
  const server = http.createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

export function portOf(server: http.Server): number {
  return (server.address() as AddressInfo).port;
}
