import { effectiveConfiguration, type Setting } from '../config/effective-settings.ts';
import { OperatorError } from '../process/operator-error.ts';
import { type Command, defineCommand } from './command.ts';
import { operatorEnvironment } from './environment.ts';
import { COMMON_OPTIONS } from './operator-command.ts';
import { createOutput, type Output, problemCount, type Row } from './output.ts';

const { json, dev } = COMMON_OPTIONS;

export const CONFIG_COMMANDS: Command[] = [
  defineCommand({
    path: 'config check',
    summary:
      'Prints each key with its value and the source of the value, without secrets, then every problem. Exits with 1 if there are any.',
    details:
      'Reads the environment, the files of <KEY>_FILE, and POLICY_FILE, and connects to nothing. "doctor" also examines Postgres, Redis and the mail server.',
    options: { set: { help: 'only the keys that are set' }, json, dev },
    isDefault: true,
    run: ({ options }) => checkConfiguration(options),
  }),
];

type Options = { set: boolean; json: boolean; dev: boolean };

/** @throws OperatorError after it has printed the problems */
async function checkConfiguration({ set, json, dev }: Options): Promise<void> {
  const environment = operatorEnvironment(dev);
  const { settings, policyFile, problems } = effectiveConfiguration(environment);
  if (policyFile !== null) {
    const { policyFileProblems } = await import('../policy/follow-policy-file.ts');
    problems.push(...(await policyFileProblems(policyFile)).map((problem) => `POLICY_FILE: ${problem}`));
  }
  const shown = settings.filter(({ source }) => !set || source === 'environment' || source === 'file');
  const output = createOutput(json, (text) => process.stdout.write(text));
  if (json) output.record({ settings: shown.map(toRow), problems });
  else print(output, shown, problems);
  if (problems.length > 0) throw new OperatorError(`the configuration has ${problemCount(problems.length)}`);
}

function print(output: Output, settings: Setting[], problems: string[]): void {
  output.rows(settings.map(toRow), 'no key is set');
  output.message(problems.length === 0 ? '\nThe configuration is valid.' : '\nProblems:');
  for (const problem of problems) output.message(`  ${problem}`);
}

function toRow({ key, value, source, isSecret }: Setting): Row {
  return { key, value, source, secret: isSecret };
}
