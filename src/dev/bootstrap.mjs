// `npm start` and `npm test` go through here: it brings the Node release of .node-version and the dependencies of
// package-lock.json when they are missing, and runs the rest of its arguments with them. It runs under any Node since 18,
// which is why it is plain JavaScript without a dependency.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const wanted = readFileSync(join(root, '.node-version'), 'utf8').trim();

const node = findNode();
const env = { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH}` };
installDependencies();
run(process.argv.slice(2));

/** The Node that runs this, if it is new enough; otherwise one from the npm registry, in a folder that git ignores. */
function findNode() {
  if (Number(process.versions.node.split('.')[0]) >= Number(wanted.split('.')[0])) return process.execPath;
  const folder = join(root, '.latchkey', `node-${wanted}`);
  const name = `node-${process.platform}-${process.arch}`;
  const binary = join(folder, 'node_modules', name, 'bin', 'node');
  if (existsSync(binary)) return binary;
  console.log(`This Node is ${process.versions.node}. Bringing Node ${wanted} ...`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
  npm(process.execPath, process.env, [
    'install',
    '--prefix',
    folder,
    '--no-save',
    '--no-package-lock',
    `${name}@${wanted}`,
  ]);
  return binary;
}

function installDependencies() {
  const lock = readFileSync(join(root, 'package-lock.json'));
  const state = createHash('sha256').update(lock).update(process.platform).update(process.arch).digest('hex');
  const stamp = join(root, 'node_modules', '.latchkey-installed');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === state) return;
  console.log('Installing dependencies ...');
  npm(node, env, ['ci']);
  writeFileSync(stamp, state);
}

function npm(withNode, environment, args) {
  const cli = process.env.npm_execpath;
  const quiet = ['--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error'];
  const [command, first] = cli ? [withNode, [cli]] : ['npm', []];
  const result = spawnSync(command, [...first, ...args, ...quiet], { cwd: root, env: environment, stdio: 'inherit' });
  if (result.error) throw result.error;
  if (result.status !== 0) {
    console.error(`npm ${args[0]} failed; what it says above is why. Is the npm registry reachable?`);
    process.exit(1);
  }
}

/** The child is in the terminal's process group, so it hears Ctrl-C itself; signals sent to this process are passed on. */
function run(args) {
  const child = spawn(node, args, { cwd: root, env, stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => process.exit(signal ? 1 : code));
}
