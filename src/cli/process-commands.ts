import { processEnvironment, readDatabaseConfig } from '../config/config.ts';
import { createLogger } from '../process/log.ts';
import { OperatorError } from '../process/operator-error.ts';
import { RELEASE } from '../process/release.ts';
import { type Command, defineCommand } from './command.ts';
import { operatorEnvironment } from './environment.ts';
import { COMMON_OPTIONS } from './operator-command.ts';
import { createOutput } from './output.ts';

export const PROCESS_COMMANDS: Command[] = [
  defineCommand({
    path: 'dev',
    summary: 'Runs the service on this machine with an embedded Postgres, Redis and mailbox (npm start).',
    run: ({ programs }) => programs.dev(),
  }),
  defineCommand({
    path: 'serve',
    summary: 'Runs the API.',
    options: { workers: { value: 'number', help: 'API processes that share one port; auto: one for each CPU core' } },
    run: ({ programs, options }) => programs.serve(options.workers),
  }),
  defineCommand({
    path: 'worker',
    summary: 'Runs a worker, which sends e-mails and records audit events.',
    run: ({ programs }) => programs.worker(),
  }),
  defineCommand({
    path: 'migrate',
    summary: 'Brings the schema up to date. Connects with MIGRATION_DATABASE_URL.',
    options: { 'service-login': { help: 'also create the database and the login that DATABASE_URL names' } },
    run: ({ options }) => migrate(options['service-login']),
  }),
  defineCommand({
    path: 'doctor',
    summary: 'Checks everything that the service needs and prints a remedy for each fault. Exits with 1 after a fault.',
    options: COMMON_OPTIONS,
    run: ({ options }) => examineService(options),
  }),
  defineCommand({
    path: 'mails',
    summary: 'Shows every e-mail that the service can send in a browser.',
    run: ({ programs }) => programs.mails(),
  }),
];

async function migrate(withServiceLogin: boolean): Promise<void> {
  const { ownerUrl, url: serviceUrl, logLevel } = readDatabaseConfig(processEnvironment());
  const { migrateDatabase, prepareDatabase } = await import('../store/postgres/prepare-database.ts');
  const result = withServiceLogin ? await prepareDatabase(ownerUrl, serviceUrl) : await migrateDatabase(ownerUrl);
  const { applied, newer } = result;
  const log = createLogger(logLevel);
  if (newer.length > 0) log.warn({ migrations: newer }, 'a newer release has migrated the database; nothing was done');
  else log.info({ service_version: RELEASE, migrations: applied }, 'migrated');
}

async function examineService({ json, dev }: { json: boolean; dev: boolean }): Promise<void> {
  const { examine } = await import('./doctor/examine.ts');
  const output = createOutput(json, (text) => process.stdout.write(text));
  const isHealthy = await examine(operatorEnvironment(dev), output);
  if (!isHealthy) throw new OperatorError('at least one check has failed');
}
