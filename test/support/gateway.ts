// The real gateways with the configurations of examples/gateways, in front of a service that returns the request it received.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { Program } from '../../src/dev/find-program.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { startOwned, waitUntilReady } from '../../src/dev/owned-process.ts';
import { findProgram } from './program.ts';
import { CADDY, ENVOY, programOfWheel, TRAEFIK } from './wheel.ts';

type Place = { folder: string; port: number; http2Port: number; innerPort: number };

export type Gateway = {
  name: string;
  program: () => Promise<Program>;
  /** Files of examples/gateways; the gateway starts with the first one. */
  files: [string, ...string[]];
  args: (config: string, folder: string) => string[];
  /** In place of a file in examples/gateways. */
  text?: () => string;
  /** Moves ports and folders. It may add a listener, and changes no rule. */
  adapt: (text: string, place: Place) => string;
};

/** nginx's own folders require root. */
export function nginxFolders(folder: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return ['access_log off;', ...temporary.map((name) => `${name}_temp_path ${folder}/${name};`)].join(' ');
}

export const NGINX: Gateway = {
  name: 'nginx',
  program: () => findProgram('nginx', 'usr/sbin/nginx'),
  files: ['nginx.conf'],
  args: (config, folder) => [
    ...['-p', folder, '-c', config, '-e', 'stderr'],
    ...['-g', `daemon off; pid ${folder}/pid; master_process off;`],
  ],
  adapt: (text, { folder, port, http2Port }) => {
    const listeners = `listen 127.0.0.1:${port}; listen 127.0.0.1:${http2Port} http2;`;
    return text.replace('listen 8000;', `${listeners} ${nginxFolders(folder)}`);
  },
};

const CADDY_GATEWAY: Gateway = {
  name: 'Caddy',
  program: () => programOfWheel(CADDY),
  files: ['Caddyfile'],
  args: (config) => ['run', '--config', config, '--adapter', 'caddyfile'],
  adapt: (text, { port }) =>
    `{\n\tadmin off\n\tauto_https off\n\tservers {\n\t\tprotocols h1 h2c\n\t}\n}\n${text}`.replace(
      'http://:8000 {',
      `http://:${port} {\n\tbind 127.0.0.1`,
    ),
};

const HAPROXY: Gateway = {
  name: 'HAProxy',
  program: () => findProgram('haproxy', 'usr/sbin/haproxy'),
  files: ['haproxy.cfg', 'haproxy-auth.lua'],
  args: (config) => ['-db', '-f', config],
  adapt: (text, { folder, port }) =>
    text
      .replace('bind :8000', `bind 127.0.0.1:${port}`)
      .replace('/etc/haproxy', folder)
      .replace('abns@latchkey', `abns@${basename(folder)}`),
};

const TRAEFIK_GATEWAY: Gateway = {
  name: 'Traefik',
  program: () => programOfWheel(TRAEFIK),
  files: ['traefik.yml', 'traefik-routes.yml'],
  args: (config) => ['--configFile', config],
  adapt: (text, { folder, port, innerPort }) =>
    text
      .replace('":8000"', `"127.0.0.1:${port}"`)
      .replaceAll('127.0.0.1:8001', `127.0.0.1:${innerPort}`)
      .replace('/etc/traefik', folder),
};

export const ENVOY_GATEWAY: Gateway = {
  name: 'Envoy',
  program: () => programOfWheel(ENVOY),
  files: ['envoy.yaml'],
  args: (config) => ['--config-path', config, '--use-dynamic-base-id', '--concurrency', '1', '--log-level', 'warning'],
  adapt: (text, { port }) =>
    text
      .replace('address: 0.0.0.0, port_value: 8000', `address: 127.0.0.1, port_value: ${port}`)
      .replace('"0.0.0.0","port_value":8000', `"127.0.0.1","port_value":${port}`),
};

export const GATEWAYS: Gateway[] = [NGINX, CADDY_GATEWAY, HAPROXY, ENVOY_GATEWAY, TRAEFIK_GATEWAY];

/** In front of a web application with session cookies. */
export const BROWSER_GATEWAYS: Gateway[] = [
  { ...NGINX, files: ['nginx-browser.conf'] },
  { ...CADDY_GATEWAY, files: ['Caddyfile-browser'] },
  { ...HAPROXY, files: ['haproxy-browser.cfg', 'haproxy-auth.lua'] },
  { ...ENVOY_GATEWAY, files: ['envoy-browser.yaml'] },
  {
    ...TRAEFIK_GATEWAY,
    files: ['traefik.yml', 'traefik-routes-browser.yml'],
    adapt: (text, place) =>
      TRAEFIK_GATEWAY.adapt(text, place).replaceAll('traefik-routes.yml', 'traefik-routes-browser.yml'),
  },
];

export type Behind = { latchkey: number; service?: number; grpc?: number };
export type RunningGateway = { url: string; port: number; http2Url: string; stop(): Promise<void> };

/** @param behind the ports that take the place of those of the example @param port of the gateway itself */
export async function startGateway(gateway: Gateway, behind: Behind, port?: number): Promise<RunningGateway> {
  return startGatewayOn(port ?? (await freePort()), gateway, behind);
}

async function startGatewayOn(port: number, gateway: Gateway, behind: Behind): Promise<RunningGateway> {
  const [http2Port, innerPort] = [await freePort(), await freePort()];
  const url = `http://127.0.0.1:${port}`;
  const { stop } = await runConfigured(gateway, {
    text: (name, folder) => {
      const text = gateway.text?.() ?? readFileSync(join('examples/gateways', name), 'utf8');
      return gateway.adapt(moved(text, behind), { folder, port, http2Port, innerPort });
    },
    probe: async () => {
      const response = await fetch(`${url}/public/`, { headers: { connection: 'close' } });
      // Traefik listens before it has routes.
      if (response.status === 404) throw new Error('there are no routes');
    },
  });
  return { url, port, http2Url: gateway.name === NGINX.name ? `http://127.0.0.1:${http2Port}` : url, stop };
}

/** Runs a program with its configuration in a folder of its own. @param probe throws until the program is ready */
export async function runConfigured(
  { name, program, files, args }: Omit<Gateway, 'adapt'>,
  { text, probe }: { text: (file: string, folder: string) => string; probe: () => Promise<void> },
): Promise<{ stop(): Promise<void> }> {
  const found = await program();
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-gateway-'));
  for (const file of files) writeFileSync(join(folder, file), text(file, folder));
  // Without a home Caddy would store its data in this folder.
  const home = [`XDG_CONFIG_HOME=${folder}`, `XDG_DATA_HOME=${folder}`];
  const running = startOwned('/usr/bin/env', [...home, found.path, ...args(join(folder, files[0]), folder)], {
    stopSignal: 'SIGTERM',
    libraryPath: found.libraryPath,
  });
  const stop = async () => {
    await running.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  await waitUntilReady(running, name, probe).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  return { stop };
}

/** The configuration with other ports. `localhost` stays, as a reader of the example would have it. */
export function moved(text: string, { latchkey, service = 9000, grpc = 9001 }: Behind): string {
  const ports: [number, number][] = [
    [8080, latchkey],
    [9000, service],
    [9001, grpc],
  ];
  return ports.reduce(
    (result, [printed, actual]) =>
      result
        .replaceAll(`localhost:${printed}`, `localhost:${actual}`)
        .replaceAll(`localhost, port_value: ${printed}`, `localhost, port_value: ${actual}`)
        .replaceAll(`"localhost","port_value":${printed}`, `"localhost","port_value":${actual}`),
    text,
  );
}
