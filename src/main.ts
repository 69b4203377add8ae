#!/usr/bin/env node
// The command line. Each command reads its configuration from the environment; README.md has the table.
import cluster from 'node:cluster';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import type { App, Parts } from './app.ts';
import { NOUNS, OPERATOR_OPTIONS, runOperatorCommand } from './cli/commands.ts';
import { operatorEnvironment } from './cli/environment.ts';
import { createOutput } from './cli/output.ts';
import { UsageError } from './cli/usage-error.ts';
import { type Config, processEnvironment, readConfig, readDatabaseConfig } from './config/config.ts';
import { assertPortsFree, type PortSetting } from './process/assert-ports-free.ts';
import { createLogger } from './process/log.ts';
import { defectMessage, OperatorError, operatorMessage } from './process/operator-error.ts';
import { listenForStop, unlessStopped } from './process/stop-signal.ts';
import { isInRange, supportedRange } from './process/supported-node.mjs';
import { parseWorkers, superviseWorkers } from './process/workers.ts';
import { isDatabaseOutage } from './store/postgres/outage.ts';
import { migrateDatabase, prepareDatabase } from './store/postgres/prepare-database.ts';

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

const NO_DATABASE = 'Postgres does not answer: is it running, and is DATABASE_URL right?';
const MAX_PORT = 65_535;
const MAILS_PORT = 8026;
/** What closing may take besides the delay and the grace. */
const CLOSING_MS = 10_000;

async function runUntilStopped(parts: Parts): Promise<void> {
  const stop = listenForStop();
  // Only here: what operators do need not wait for all that serves calls.
  const { startApp } = await import('./app.ts');
  const config = readConfig(processEnvironment());
  const log = createLogger(config.LOG_LEVEL);
  if (cluster.isPrimary) await assertPortsFree(portsOf(config, parts));
  const app: App | null = await unlessStopped(stop, startApp(config, parts, log));
  if (!app) return log.info({ signal: await stop.requested }, 'stopped before the start was complete');
  const { port, metricsPort, healthPort } = app;
  const ports = {
    ...(port && { port }),
    ...(metricsPort && { metrics_port: metricsPort }),
    ...(healthPort && { health_port: healthPort }),
  };
  log.info(ports, 'started');
  log.info({ signal: await stop.requested }, 'stopping');
  app.stopServing();
  // A worker takes no calls, so nothing has to notice first.
  if (parts.api) await stop.delay(config.SHUTDOWN_DELAY_SECONDS * 1000);
  await app.close();
  log.info('stopped');
}

/** The ports that one process of this configuration listens on. */
function portsOf({ HOST, PORT, HEALTH_PORT, telemetry }: Config, { api }: Parts): PortSetting[] {
  const { prometheus } = telemetry;
  return [
    ...(api ? [{ key: 'PORT', host: HOST, port: PORT }] : []),
    ...(prometheus ? [{ key: 'METRICS_PORT', ...prometheus }] : []),
    ...(!api && HEALTH_PORT !== undefined ? [{ key: 'HEALTH_PORT', host: HOST, port: HEALTH_PORT }] : []),
  ];
}

async function runWorkers(count: number): Promise<void> {
  const stop = listenForStop();
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
  const { prometheus } = config.telemetry;
  const pages = prometheus && firstPort ? Array.from({ length: count }, (_, place) => firstPort + place) : [];
  await assertPortsFree([
    { key: 'PORT', host: config.HOST, port },
    ...pages.map((page) => ({ key: 'METRICS_PORT', host: prometheus?.host ?? config.HOST, port: page })),
  ]);
  await superviseWorkers(
    {
      count,
      environment: (place) => ({
        HASH_CONCURRENCY: environment.HASH_CONCURRENCY || String(share),
        // Each tells of itself alone.
        ...(firstPort && { METRICS_PORT: String(firstPort + place) }),
      }),
      killAfterMs: (config.SHUTDOWN_DELAY_SECONDS + config.SHUTDOWN_GRACE_SECONDS) * 1000 + CLOSING_MS,
    },
    createLogger(config.LOG_LEVEL),
    stop,
  );
}

async function runDev(): Promise<void> {
  const stop = listenForStop();
  // Not in production's image, and neither is what they need.
  const { startDev } = await import('./dev/dev.ts');
  const { stopAllOwned } = await import('./dev/owned-process.ts');
  const { readDevSettings } = await import('./dev/settings.ts');
  const dev = await unlessStopped(stop, startDev(readDevSettings(processEnvironment())));
  await stop.requested;
  console.log('  stopping ...');
  await (dev ? dev.close() : stopAllOwned());
}

async function runMails(): Promise<void> {
  const { previewMails } = await import('./dev/preview-mails.ts');
  const stop = listenForStop();
  const { url } = await previewMails(MAILS_PORT);
  console.log(`  Every mail there is: ${url}\n\n  Ctrl-C ends it.`);
  await stop.requested;
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
  else {
    const outage = error instanceof Error && isDatabaseOutage(error) ? `${error.message}\n${NO_DATABASE}` : null;
    process.stderr.write(`${operatorMessage(error) ?? outage ?? defectMessage(error)}\n`);
  }
}

try {
  await run();
  // Not by running dry: a connection that hangs must not keep the process.
  process.exit();
} catch (error) {
  report(error);
  process.exit(error instanceof UsageError ? 2 : 1);
}
