// PgBouncer in transaction mode.
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../src/dev/free-port.ts';
import { connectOnce } from '../../src/store/postgres/prepare-database.ts';
import { eventually } from '../support/eventually.ts';
import { findProgram } from '../support/program.ts';
import { type Program, startProgram } from './program.ts';

export type Pooler = { port: number; start(): Promise<void>; kill(): Promise<void> };

/** @param login with the password that the service has */
export async function createPooler(
  folder: string,
  login: string,
  password: string,
  postgresPort: number,
): Promise<Pooler> {
  const found = await findProgram('pgbouncer', 'usr/sbin/pgbouncer');
  const port = await freePort();
  mkdirSync(folder, { recursive: true });
  chmodSync(folder, 0o755);
  writeFileSync(join(folder, 'users.txt'), `"${login}" "${password}"\n`);
  const file = join(folder, 'pgbouncer.ini');
  writeFileSync(
    file,
    `[databases]
* = host=127.0.0.1 port=${postgresPort}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${join(folder, 'users.txt')}
pool_mode = transaction
default_pool_size = 10
ignore_startup_parameters = statement_timeout, lock_timeout, idle_in_transaction_session_timeout
`,
  );
  let program: Program | null = null;
  return {
    port,
    async start() {
      const environment = found.libraryPath ? { LD_LIBRARY_PATH: found.libraryPath } : {};
      const started = startProgram(found.path, [file], { environment, unprivileged: true });
      program = started;
      await eventually(async () => {
        if (started.hasExited()) throw new Error(`PgBouncer did not start:\n${started.output()}`);
        const answers = connectOnce(`postgres://${login}@127.0.0.1:${port}/latchkey`);
        return answers.then(() => true).catch(() => null);
      }, 30_000);
    },
    async kill() {
      await program?.end('SIGKILL');
    },
  };
}
