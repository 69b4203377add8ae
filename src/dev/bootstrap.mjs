// Every npm script starts here. This installs the Node release of .node-version and the dependencies of
// package-lock.json when they are missing, and runs its arguments with them. It is plain JavaScript without a
// dependency, because it runs under any Node since 18.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isInRange, supportedRange } from '../process/supported-node.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const wanted = readFileSync(join(root, '.node-version'), 'utf8').trim();
/** Contains the integrity of Node's packages. `npm run pin-node` writes it. */
const pins = join(root, 'src/dev/node/package-lock.json');

const PARENT_CHECK_MS = 500;

const node = findNode();
const env = {
  // Node keeps compiled modules here, so that each later command starts in half of the time.
  NODE_COMPILE_CACHE: join(root, '.latchkey', 'compile-cache'),
  ...process.env,
  PATH: `${dirname(node)}${delimiter}${process.env.PATH}`,
};
installDependencies();
run(process.argv.slice(2));

/** Returns the Node that runs this if it is supported, otherwise the pinned one, in a folder that git ignores. */
function findNode() {
  if (isInRange(process.versions.node, supportedRange())) return process.execPath;
  const name = `node-${process.platform}-${process.arch}`;
  const { version, integrity } = JSON.parse(readFileSync(pins, 'utf8')).packages[`node_modules/${name}`] ?? {};
  if (version !== wanted || !integrity) {
    console.error(
      `Latchkey needs Node ${supportedRange()}, and this is ${process.versions.node}. The npm registry has no`,
    );
    console.error(`Node ${wanted} for ${process.platform}-${process.arch}: install one from https://nodejs.org.`);
    process.exit(1);
  }
  const folder = join(root, '.latchkey', `node-${wanted}`);
  const binary = join(folder, 'node_modules', name, 'bin', 'node');
  const lock = lockOf(name, version, integrity);
  // The binary was verified with the lock beside it.
  const isVerified = existsSync(binary) && readIfThere(join(folder, 'package-lock.json')) === lock;
  if (!isVerified) installNode(folder, lock);
  return binary;
}

/** The dependency is not optional, so that npm fails when the content differs from the integrity. */
function lockOf(name, version, integrity) {
  const packages = {
    '': { dependencies: { [name]: version } },
    [`node_modules/${name}`]: { version, integrity },
  };
  return `${JSON.stringify({ lockfileVersion: 3, requires: true, packages }, null, 2)}\n`;
}

/** npm compares its download with the integrity in the lock before it unpacks anything. */
function installNode(folder, lock) {
  console.log(`This is Node ${process.versions.node}. Installing Node ${wanted} ...`);
  const unverified = `${folder}.${process.pid}`;
  mkdirSync(unverified, { recursive: true });
  writeFileSync(join(unverified, 'package.json'), JSON.stringify(JSON.parse(lock).packages['']));
  writeFileSync(join(unverified, 'package-lock.json'), lock);
  if (!npm(process.execPath, process.env, ['ci', '--ignore-scripts', '--prefix', unverified])) {
    rmSync(unverified, { recursive: true, force: true });
    console.error(
      `Node ${wanted} was not installed. If npm names EINTEGRITY above, the download differs from the content that`,
    );
    console.error('src/dev/node/package-lock.json pins: do not use it, and find out which of the two was changed.');
    process.exit(1);
  }
  rmSync(folder, { recursive: true, force: true });
  renameSync(unverified, folder);
}

function readIfThere(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : null;
}

function installDependencies() {
  const lock = readFileSync(join(root, 'package-lock.json'));
  const state = createHash('sha256').update(lock).update(process.platform).update(process.arch).digest('hex');
  const stamp = join(root, 'node_modules', '.latchkey-installed');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === state) return;
  console.log('Installing dependencies ...');
  if (!npm(node, env, ['ci'])) process.exit(1);
  writeFileSync(stamp, state);
}

function npm(withNode, environment, args) {
  const cli = process.env.npm_execpath;
  const quiet = ['--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error'];
  const [command, first] = cli ? [withNode, [cli]] : ['npm', []];
  const result = spawnSync(command, [...first, ...args, ...quiet], { cwd: root, env: environment, stdio: 'inherit' });
  if (result.error) throw result.error;
  if (result.status !== 0) {
    console.error(`npm ${args[0]} failed for the reason above. Check the connection to the npm registry.`);
  }
  return result.status === 0;
}

/**
 * The child is in the process group of the terminal, so it receives Ctrl-C itself. Its channel closes when this process
 * ends.
 */
function run(args) {
  const child = spawn(node, args, { cwd: root, env, stdio: ['inherit', 'inherit', 'inherit', 'ipc'] });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  if (process.env.npm_lifecycle_event) endWithNpm(child);
  child.on('exit', (code, signal) => process.exit(signal ? 1 : code));
}

/** A killed npm sends no signal. Scripts in package.json begin with exec, so that npm, not a shell, is the parent. */
function endWithNpm(child) {
  const npm = process.ppid;
  const check = setInterval(() => {
    if (process.ppid === npm) return;
    clearInterval(check);
    child.kill('SIGTERM');
  }, PARENT_CHECK_MS);
}
