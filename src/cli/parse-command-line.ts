import { parseArgs } from 'node:util';
import { closestName } from '../config/closest-name.ts';
import type { Command } from './command.ts';
import { COMMAND_GROUPS, COMMANDS } from './commands.ts';
import { commandHelp, groupHelp, overview } from './help.ts';
import { UsageError } from './usage-error.ts';

export type CommandLine =
  | { kind: 'help'; text: string }
  | { kind: 'version' }
  | { kind: 'command'; command: Command; args: Record<string, string>; options: Record<string, string | boolean> };

type ParserOptions = Record<string, { type: 'boolean' | 'string'; short?: string }>;

const GLOBAL_OPTIONS: ParserOptions = { help: { type: 'boolean', short: 'h' }, version: { type: 'boolean' } };

/** @throws UsageError */
export function parseCommandLine(words: string[]): CommandLine {
  // Options can stand before the words of the command, so they are parsed first. Each has the same kind in every
  // command.
  const known = everyOption();
  const { values, positionals, tokens } = parseArgs({
    ...{ args: words, options: known, strict: false, allowPositionals: true, tokens: true },
  });
  const command = commandOf(positionals);
  const [first = ''] = positionals;
  const group = Object.hasOwn(COMMAND_GROUPS, first) ? first : null;
  const given = tokens.filter((token) => token.kind === 'option').map(({ name }) => name);
  if (values.help) return { kind: 'help', text: helpFor(command, positionals, group) };
  if (values.version) return { kind: 'version' };
  if (!command) {
    assertKnown(given, Object.keys(known), group === null ? overview() : groupHelp(group));
    throw unknownCommand(positionals, group);
  }
  assertKnown(given, Object.keys(command.options), commandHelp(command));
  return {
    kind: 'command',
    command,
    args: parseArguments(command, positionals),
    options: parseOptions(command, words),
  };
}

function commandOf(positionals: string[]): Command | undefined {
  const [first, second] = positionals;
  const [only] =
    positionals.length === 1 ? COMMANDS.filter(({ path, isDefault }) => isDefault && groupOf(path) === first) : [];
  return COMMANDS.find(({ path }) => path === first || path === `${first} ${second}`) ?? only;
}

function groupOf(path: string): string {
  return path.split(' ', 1)[0] as string;
}

function helpFor(command: Command | undefined, positionals: string[], group: string | null): string {
  if (group !== null && positionals.length === 1) return groupHelp(group);
  if (command) return commandHelp(command);
  return group === null ? overview() : groupHelp(group);
}

function unknownCommand(positionals: string[], group: string | null): UsageError {
  const help = group === null ? overview() : groupHelp(group);
  const path = positionals.slice(0, group === null ? 1 : 2).join(' ');
  if (path === '' || path === group) return new UsageError(help);
  const names = [...Object.keys(COMMAND_GROUPS), ...COMMANDS.map((command) => command.path)];
  return new UsageError(`unknown command: ${path}${suggestion(closestName(path, names))}\n\n${help}`);
}

/** @throws UsageError */
function assertKnown(options: string[], known: string[], help: string): void {
  const unknown = options.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  const similar = closestName(unknown, known);
  throw new UsageError(`unknown option: --${unknown}${suggestion(similar && `--${similar}`)}\n\n${help}`);
}

function suggestion(name: string | null): string {
  return name === null ? '' : ` (did you mean ${name}?)`;
}

function parseArguments(command: Command, positionals: string[]): Record<string, string> {
  const names = Object.keys(command.arguments);
  const values = positionals.slice(command.path.split(' ').length);
  const missing = names[values.length];
  if (missing !== undefined) throw usageError(command, `<${missing}> is missing`);
  if (values.length > names.length) throw usageError(command, `unexpected argument: ${values[names.length]}`);
  return Object.fromEntries(names.map((name, n) => [name, values[n] as string]));
}

function parseOptions(command: Command, words: string[]): Record<string, string | boolean> {
  const own = parserOptions(command);
  try {
    const { values } = parseArgs({ args: words, options: own, allowPositionals: true });
    return Object.fromEntries(
      Object.entries(own).map(([name, { type }]) => [name, values[name] ?? (type === 'string' ? '' : false)]),
    ) as Record<string, string | boolean>;
  } catch (error) {
    throw usageError(command, error instanceof Error ? error.message : String(error));
  }
}

function usageError(command: Command, problem: string): UsageError {
  return new UsageError(`${problem}\n\n${commandHelp(command)}`);
}

function parserOptions({ options }: Command): ParserOptions {
  return Object.fromEntries(
    Object.entries(options).map(([name, { value }]) => [name, { type: value === undefined ? 'boolean' : 'string' }]),
  );
}

function everyOption(): ParserOptions {
  return Object.assign({}, GLOBAL_OPTIONS, ...COMMANDS.map(parserOptions));
}
