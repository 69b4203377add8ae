// The command line. Each command reads its configuration from the environment; README.md has the table.
import cluster from 'node:cluster';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import type { App, Parts } from './app.ts';
import { NOUNS, OPERATOR_OPTIONS, runOperatorCommand } from './cli/commands.ts';
import { operatorEnvironment } from './cli/environment.ts';
import { createOutput } from './cli/output.ts';
import { UsageError } from './cli/usage-error.ts';
import { processEnvironment, readConfig, readDatabaseConfig } from './config.ts';
import { createLogger } from './log.ts';
import { defectMessage, OperatorError, operatorMessage } from './operator-error.ts';
import { migrateDatabase, prepareDatabase } from './store/prepare-database.ts';
import { isInRange, supportedRange } from './supported-node.mjs';
import { parseWorkers, superviseWorkers } from './workers.ts';

const USAGE = `usage: node src/main.ts <command>

  dev                       everything on this machine, with an embedded Postgres, Redis and mailbox (npm start)
  serve                     the API
  serve --workers <n|auto>  the API in several processes on one port; auto: one for each core
  worker                    mail and audit events
  migrate                   bring the schema up to date, as MIGRATION_DATABASE_URL
  migrate --service-login   and make the database and the login that DATABASE_URL names
  mails                     show every mail there is in a browser

  doctor                    look at everything the service needs, and say how to mend what is wrong; --json, --dev

  users, roles, services, keys, audit, outbox
                            what operators do; "<command> --help" says more
`;

const SAME_REQUEST_MS = 1_000;
const MAX_PORT = 65_535;
const MAILS_PORT = 8026;
/** What closing may take besides the grace. */
const CLOSING_MS = 10_000;

/** Resolves when a signal asks for the end. A later one, from somebody who does not want to wait, ends at once. */
function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let askedAt = 0;
    const stop = (signal: NodeJS.Signals) => {
      // Ctrl-C below npm arrives several times at once.
      if (askedAt > 0 && performance.now() - askedAt > SAME_REQUEST_MS) process.exit(1);
      askedAt ||= performance.now();
      resolve(signal);
    };
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);
  });
}

async function runUntilStopped(parts: Parts): Promise<void> {
  // Only here: what operators do need not wait for all that serves calls.
  const { startApp } = await import('./app.ts');
  const config = readConfig(processEnvironment());
  const stopped = stopSignal();
  const log = createLogger(config.LOG_LEVEL);
  const app: App = await startApp(config, parts, log);
  const { port, metricsPort } = app;
  log.info({ ...(port && { port }), ...(metricsPort && { metrics_port: metricsPort }) }, 'started');
  log.info({ signal: await stopped }, 'stopping');
  await app.close();
  log.info('stopped');
}

async function runWorkers(count: number): Promise<void> {
  const environment = processEnvironment();
  // What is wrong with it is said once, and not by each worker.
  const config = readConfig(environment);
  // The cores are there once, however many workers share them.
  const share = Math.max(1, Math.floor(availableParallelism() / count));
  const { METRICS_PORT: firstPort, PORT: port } = config;
  const lastPort = firstPort ? firstPort + count - 1 : 0;
  if (lastPort > MAX_PORT || (firstPort && port >= firstPort && port <= lastPort)) {
    throw new OperatorError(`METRICS_PORT must be the first of ${count} ports that are free, one for each worker`);
  }
  await superviseWorkers(
    {
      count,
      environment: (place) => ({
        HASH_CONCURRENCY: environment.HASH_CONCURRENCY || String(share),
        // Each tells of itself alone.
        ...(firstPort && { METRICS_PORT: String(firstPort + place) }),
      }),
      killAfterMs: config.SHUTDOWN_GRACE_SECONDS * 1000 + CLOSING_MS,
    },
    createLogger(config.LOG_LEVEL),
    stopSignal(),
  );
}

async function runDev(): Promise<void> {
  // Not in production's image, and neither is what they need.
  const { startDev } = await import('./dev/dev.ts');
  const { readDevSettings } = await import('./dev/settings.ts');
  const stopped = stopSignal();
  const dev = await startDev(readDevSettings(processEnvironment()));
  await stopped;
  console.log('  stopping ...');
  await dev.close();
}

async function runMails(): Promise<void> {
  const { previewMails } = await import('./dev/preview-mails.ts');
  const stopped = stopSignal();
  const { url } = await previewMails(MAILS_PORT);
  console.log(`  Every mail there is: ${url}\n\n  Ctrl-C ends it.`);
  await stopped;
}

async function runMigrate(withServiceLogin: boolean): Promise<void> {
  const config = readDatabaseConfig(processEnvironment());
  const { MIGRATION_DATABASE_URL: ownerUrl, DATABASE_URL: serviceUrl } = config;
  const result = withServiceLogin ? await prepareDatabase(ownerUrl, serviceUrl) : await migrateDatabase(ownerUrl);
  const { applied, newer } = result;
  const log = createLogger(config.LOG_LEVEL);
  if (newer.length > 0) log.warn({ migrations: newer }, 'a newer release has migrated the database; nothing was done');
  else log.info({ migrations: applied }, 'migrated');
}

async function runDoctor(options: { json?: boolean | undefined; dev?: boolean | undefined }): Promise<void> {
  const { examine } = await import('./cli/doctor/examine.ts');
  const output = createOutput(options.json === true, (text) => process.stdout.write(text));
  const isWell = await examine(operatorEnvironment(options.dev === true), output);
  if (!isWell) throw new OperatorError('something has failed');
}

function parseArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        help: { type: 'boolean', short: 'h' },
        'service-login': { type: 'boolean' },
        workers: { type: 'string' },
        ...OPERATOR_OPTIONS,
      },
    });
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : ''}\n\n${USAGE}`);
  }
}

/** An older one has holes in its HTTP/2 that a stranger can use: docs/decisions/node-release.md. */
function assertSupportedNode(): void {
  const [given, range] = [process.versions.node, supportedRange()];
  if (isInRange(given, range)) return;
  throw new OperatorError(`Latchkey needs Node ${range}, for its security fixes of HTTP/2; this is Node ${given}`);
}

async function run(): Promise<void> {
  assertSupportedNode();
  const { values, positionals } = parseArguments();
  const [command = '', ...rest] = positionals;
  const noun = Object.hasOwn(NOUNS, command) ? NOUNS[command] : undefined;
  if (values.help) return void process.stdout.write(noun?.help ?? USAGE);
  if (noun) return runOperatorCommand(noun, rest, values);
  switch (command) {
    case 'dev':
      return runDev();
    case 'serve':
      if (values.workers !== undefined && cluster.isPrimary) return runWorkers(parseWorkers(values.workers));
      return runUntilStopped({ api: true, worker: false });
    case 'worker':
      return runUntilStopped({ api: false, worker: true });
    case 'migrate':
      return runMigrate(values['service-login'] ?? false);
    case 'doctor':
      return runDoctor(values);
    case 'mails':
      return runMails();
    default:
      throw new UsageError(USAGE);
  }
}

/** What the operator can mend is said in a sentence; a defect shows where it is. */
function report(error: unknown): void {
  if (error instanceof UsageError) process.stderr.write(error.message);
  else process.stderr.write(`${operatorMessage(error) ?? defectMessage(error)}\n`);
}

try {
  await run();
  // Not by running dry: a connection that hangs must not keep the process.
  process.exit();
} catch (error) {
  report(error);
  process.exit(error instanceof UsageError ? 2 : 1);
}
