// A Keycloak in development mode with a database in memory, from Maven Central, where there are Maven and Java.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { processEnvironment } from '../../src/config/config.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { PROGRAM_CACHE } from '../../src/dev/settings.ts';
import { eventually } from '../support/eventually.ts';
import { run as runProcess } from '../support/processes.ts';
import { isAtHand } from '../support/toolchain.ts';
import { childrenOf, pin, SERVER_CORE, type Server } from './harness.ts';
import type { CheckedLoad } from './loads.ts';

export const KEYCLOAK = '26.7.3';
const run = promisify(execFile);
const COPY = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy';
const ARTIFACT = `org.keycloak:keycloak-quarkus-dist:${KEYCLOAK}:zip`;
const ADMIN = 'bench-admin';
const CLIENT = 'bench';
/** It serves this machine alone, for minutes. */
const PASSWORD = 'bench-password';
const OPENID = '/realms/master/protocol/openid-connect';
const START_TIMEOUT_MS = 600_000;

export type Keycloak = { server: Server; introspection: CheckedLoad };

/** @returns why not, where it cannot be had */
export async function startKeycloak(): Promise<Keycloak | string> {
  const home = await download();
  if (home === null) return 'no Maven, Java or unzip here';
  const port = await freePort();
  const bootstrap = { KC_BOOTSTRAP_ADMIN_USERNAME: ADMIN, KC_BOOTSTRAP_ADMIN_PASSWORD: PASSWORD };
  const args = ['start-dev', '--db=dev-mem', `--http-port=${port}`, '--http-host=127.0.0.1'];
  const running = runProcess(join(home, 'bin/kc.sh'), args, { ...processEnvironment(), ...bootstrap }, true);
  const { child, ended } = running;
  const url = `http://127.0.0.1:${port}`;
  const answers = () => {
    if (child.exitCode !== null) throw new Error(`Keycloak has ended: ${running.output()}`);
    return fetch(`${url}${OPENID}/certs`).then(
      ({ ok }) => ok,
      () => false,
    );
  };
  await eventually(answers, START_TIMEOUT_MS);
  // After its first build the script becomes the process of Java. Otherwise it starts one.
  const pid = childrenOf(child.pid as number, 'java')[0] ?? (child.pid as number);
  pin(pid, SERVER_CORE);
  const stop = async () => {
    process.kill(pid, 'SIGTERM');
    await ended;
  };
  // Signals that pause and resume are for the process of Java, not for the script that started it.
  const java = { kill: (signal: NodeJS.Signals) => process.kill(pid, signal) };
  return { server: { pid, port, url, child: java, stop }, introspection: await introspectionLoad(url) };
}

/** Null without the programs that it takes. */
async function download(): Promise<string | null> {
  const home = resolve(PROGRAM_CACHE, `keycloak-${KEYCLOAK}`);
  for (const probe of [
    ['mvn', '--version'],
    ['java', '-version'],
    ['unzip', '-v'],
  ])
    if (!(await isAtHand({ probe }))) return null;
  if (existsSync(home)) return home;
  mkdirSync(PROGRAM_CACHE, { recursive: true });
  const draft = mkdtempSync(join(PROGRAM_CACHE, 'draft-'));
  const env = processEnvironment() as NodeJS.ProcessEnv;
  await run('mvn', ['--batch-mode', '--quiet', COPY, `-Dartifact=${ARTIFACT}`, `-DoutputDirectory=${draft}`], { env });
  await run('unzip', ['-q', `keycloak-quarkus-dist-${KEYCLOAK}.zip`], { cwd: draft });
  renameSync(join(draft, `keycloak-${KEYCLOAK}`), home);
  rmSync(draft, { recursive: true });
  return home;
}

/** A confidential client introspects an access token of its own service account. */
async function introspectionLoad(url: string): Promise<CheckedLoad> {
  const token = async (form: Record<string, string>) => {
    const response = await fetch(`${url}${OPENID}/token`, { method: 'POST', body: new URLSearchParams(form) });
    const { access_token } = (await response.json()) as { access_token: string };
    return access_token;
  };
  const admin = { client_id: 'admin-cli', grant_type: 'password', username: ADMIN, password: PASSWORD };
  const created = await fetch(`${url}/admin/realms/master/clients`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await token(admin)}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      clientId: CLIENT,
      secret: PASSWORD,
      serviceAccountsEnabled: true,
      attributes: { 'access.token.lifespan': '3600' },
    }),
  });
  if (created.status !== 201) throw new Error(`Keycloak created no client: ${await created.text()}`);
  const accessToken = await token({ client_id: CLIENT, client_secret: PASSWORD, grant_type: 'client_credentials' });
  return {
    path: `${OPENID}/token/introspect`,
    body: Buffer.from(new URLSearchParams({ token: accessToken }).toString()),
    headers: {
      authorization: `Basic ${Buffer.from(`${CLIENT}:${PASSWORD}`).toString('base64')}`,
      'content-type': 'application/x-www-form-urlencoded',
    },
    http1: true,
    connections: 16,
    streams: 1,
    isRight: ({ body }) => JSON.parse(body.toString()).active === true,
  };
}
