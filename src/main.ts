#!/usr/bin/env node
// The entry of the command line. It parses the words, runs the command and turns errors into exit codes: 1, or 2 for a
// usage error.
import { parseCommandLine } from './cli/parse-command-line.ts';
import { UsageError } from './cli/usage-error.ts';
import { versionLine } from './cli/version.ts';
import { processEnvironment } from './config/config.ts';
import { failureText, logFailure } from './process/log-failure.ts';
import { OperatorError, operatorMessage } from './process/operator-error.ts';
import { buildOf } from './process/release.ts';
import { isInRange, supportedRange } from './process/supported-node.mjs';
import { PROGRAMS } from './programs.ts';
import { isDatabaseOutage } from './store/postgres/outage.ts';

const LOGGED_PROGRAMS = ['serve', 'worker', 'migrate'];
const NO_DATABASE = 'Postgres does not answer: start Postgres, or correct DATABASE_URL';

/** Older releases have vulnerabilities in HTTP/2: docs/decisions/node-release.md. */
function assertSupportedNode(): void {
  const [version, range] = [process.versions.node, supportedRange()];
  if (isInRange(version, range)) return;
  throw new OperatorError(`Latchkey requires Node ${range}, for its security fixes of HTTP/2; this is Node ${version}`);
}

async function run(): Promise<void> {
  assertSupportedNode();
  const line = parseCommandLine(process.argv.slice(2));
  if (line.kind === 'help') process.stdout.write(line.text);
  else if (line.kind === 'version') console.log(versionLine());
  else await line.command.run({ args: line.args, options: line.options, programs: PROGRAMS });
}

/** Production collects the log of these processes. A terminal and the other commands have a reader. */
function writesLog(): boolean {
  const [program = ''] = process.argv.slice(2).filter((word) => /^[a-z]/.test(word));
  const isTerminal = process.stderr.isTTY === true;
  return processEnvironment().NODE_ENV === 'production' && !isTerminal && LOGGED_PROGRAMS.includes(program);
}

/** Errors that an operator can correct are printed as sentences, defects with their stack. */
function report(error: unknown): void {
  const failure = { error, sentence: sentenceOf(error) };
  if (writesLog()) logFailure(failure, buildOf(processEnvironment().LATCHKEY_COMMIT));
  else process.stderr.write(`${failureText(failure).trimEnd()}\n`);
}

function sentenceOf(error: unknown): string | null {
  // The help follows the first line, and is for a terminal.
  if (error instanceof UsageError) return writesLog() ? (error.message.split('\n', 1)[0] ?? '') : error.message;
  const outage = error instanceof Error && isDatabaseOutage(error) ? `${error.message}\n${NO_DATABASE}` : null;
  return operatorMessage(error) ?? outage;
}

if (writesLog()) {
  process.on('uncaughtException', (error) => {
    report(error);
    process.exit(1);
  });
}

try {
  await run();
  // Explicit, because a connection that hangs would keep the process alive.
  process.exit();
} catch (error) {
  report(error);
  process.exit(error instanceof UsageError ? 2 : 1);
}
