// The common part of the commands for operators: the database connection, the output, and errors as sentences. Commands
// load what they alone need when they run: the clients of Postgres and Redis are most of the time of a start.
import { readDatabaseConfig } from '../config/config.ts';
import { AuthError } from '../domain/auth-error.ts';
import { ERROR_REASONS } from '../domain/error-reason.ts';
import { LimitsUnavailable } from '../limits/limits-unavailable.ts';
import { OperatorError, operatorMessage } from '../process/operator-error.ts';
import { isDatabaseOutage } from '../store/postgres/outage.ts';
import {
  type Arguments,
  type ArgumentValues,
  type Command,
  type CommandSpec,
  defineCommand,
  type Options,
  type OptionValues,
} from './command.ts';
import { operatorEnvironment } from './environment.ts';
import type { Operator } from './operator.ts';
import { operatorActor } from './operator-actor.ts';
import { createOutput, type Output } from './output.ts';

export const COMMON_OPTIONS = {
  json: { help: 'print JSON' },
  dev: { help: 'use the service that "npm start" runs in this folder, in place of DATABASE_URL' },
  as: { value: 'name', help: 'your name, for the audit trail (default: OPERATOR, or the login name of the system)' },
} as const satisfies Options;

export const REASON = {
  reason: { value: 'text', isRequired: true, help: 'the reason, which the audit trail keeps' },
} as const satisfies Options;

type OperatorInput<A extends Arguments, O extends Options> = {
  args: ArgumentValues<A>;
  options: OptionValues<O>;
  output: Output;
};

type OperatorCommandSpec<A extends Arguments, O extends Options> = CommandSpec<A, O> & {
  asOwner?: boolean;
  run(operator: Operator, input: OperatorInput<A, O>): Promise<void>;
};

export function operatorCommand<
  const A extends Arguments = Record<never, never>,
  const O extends Options = Record<never, never>,
>(spec: OperatorCommandSpec<A, O>): Command {
  const { asOwner = false, run, ...rest } = spec;
  return defineCommand<A, O & typeof COMMON_OPTIONS>({
    ...rest,
    options: { ...spec.options, ...COMMON_OPTIONS } as O & typeof COMMON_OPTIONS,
    async run({ args, options }) {
      const { json, dev, as } = options as OptionValues<typeof COMMON_OPTIONS>;
      const environment = operatorEnvironment(dev);
      const config = readDatabaseConfig(environment);
      const url = asOwner ? config.ownerUrl : config.url;
      const output = createOutput(json, (text) => process.stdout.write(text));
      const actor = operatorActor({ as, operator: config.operator, sudoUser: environment.SUDO_USER }, (text) =>
        process.stderr.write(text),
      );
      const { asOperator } = await import('./operator.ts');
      await asOperator({ url, environment, actor }, (operator) => run(operator, { args, options, output })).catch(
        (error) => {
          throw asOperatorError(error);
        },
      );
    },
  });
}

function asOperatorError(error: unknown): unknown {
  if (error instanceof LimitsUnavailable) return new OperatorError(redisSentence(error.cause));
  if (error instanceof AuthError) return new OperatorError(sentenceOf(error));
  // main.ts prints a more exact sentence for an error with a known code.
  if (error instanceof Error && isDatabaseOutage(error) && operatorMessage(error) === null) {
    return new OperatorError(
      'Postgres does not answer or has closed the connection: check the server and DATABASE_URL',
    );
  }
  return error;
}

function redisSentence(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  return `Redis does not answer (${text}): start Redis, or correct REDIS_URL. The counts are in Redis.`;
}

function sentenceOf({ reason, violations, retryAfterMs }: AuthError): string {
  const fields = violations.map(({ field, description }) => `${field} ${description}`).join('; ');
  if (fields !== '') return fields;
  const when = retryAfterMs === undefined ? '' : `; try again in ${Math.ceil(retryAfterMs / 1000)} seconds`;
  return `${ERROR_REASONS[reason].message} (${reason})${when}`;
}
