// The service runs as the pods of the chart and the units of systemd run it: another user, no capabilities, every file system
// read-only except a small /tmp. A mount namespace stands for the container, which needs root.
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { processEnvironment } from '../../src/config/config.ts';
import { testApp } from '../support/app.ts';
import { auth, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { signedIn } from '../support/people.ts';
import { run } from '../support/processes.ts';

const USER = '65534';
const CONFINED = `
  awk '$5 ~ /^\\/(work|home|root|var|usr|opt)?/ && $5 !~ /^\\/(proc|sys|dev)/ { print $5 }' /proc/self/mountinfo |
    while read -r at; do mount -o remount,bind,ro "$at"; done
  here=$PWD
  mount -t tmpfs -o size=64m,mode=1777 tmpfs /tmp
  case "$here" in /tmp/*)
    mkdir -p "$here"; mount --bind . "$here"; mount -o remount,bind,ro "$here"; cd "$here" ;;
  esac
  exec setpriv --reuid=${USER} --regid=${USER} --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"`;
const unshare = (command: string[]) => ['--mount', '--propagation', 'private', 'sh', '-ec', CONFINED, 'sh', ...command];

/** The checkout must be readable for the other user, too. */
const CAN_WRITE = `test -r package.json && ! touch package.json 2>/dev/null && touch /tmp/x && test "$(id -u)" = ${USER}`;
const canConfine = spawnSync('unshare', unshare(['sh', '-c', CAN_WRITE])).status === 0;
if (!canConfine) console.warn('without root and mount namespaces the service does not run confined');

const app = await testApp({}, { api: false, worker: false });

test.skipIf(!canConfine)('serve needs no privilege and no file system but /tmp', async () => {
  const environment = { ...app.environment, PATH: processEnvironment().PATH, PORT: '0' };
  const server = run('unshare', unshare([process.execPath, 'src/main.ts', 'serve']), environment);
  const port = await eventually(() => {
    if (server.child.exitCode !== null) throw new Error(server.output());
    return /"port":(\d+)/.exec(server.output())?.[1];
  }, 60_000);
  const call = viaFetch(`http://127.0.0.1:${port}`);
  const { accessToken } = await signedIn(call);
  expect((await call(auth.verify, { accessToken })).code).toBe('ok');
  server.child.kill('SIGTERM');
  expect(await server.ended).toBe(0);
  expect(server.output()).not.toMatch(/EROFS|EACCES|EPERM/);
});
