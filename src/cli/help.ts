import type { Command, Option } from './command.ts';
import { COMMAND_GROUPS, COMMANDS } from './commands.ts';

const PROGRAM = 'latchkey';
const WIDTH = 100;
const INDENT = '  ';

export function overview(): string {
  const single = COMMANDS.filter(({ path }) => !path.includes(' ')).map(
    ({ path, summary }) => [path, summary] as const,
  );
  return [
    `usage: ${PROGRAM} <command> [options]\n`,
    list('commands', single),
    list('groups of commands for operators', Object.entries(COMMAND_GROUPS)),
    list('options', [
      ['--help', 'describe a command, a group of commands, or this program'],
      ['--version', 'print the version'],
    ]),
  ].join('\n');
}

export function groupHelp(group: string): string {
  const commands = COMMANDS.filter(({ path }) => path.startsWith(`${group} `));
  return [
    `usage: ${PROGRAM} ${group} <command> [options]\n`,
    `${COMMAND_GROUPS[group]}\n`,
    ...commands.map((command) => `${INDENT}${synopsis(command)}\n${wrap(command.summary, INDENT.repeat(3))}`),
    `\n"${PROGRAM} ${group} <command> --help" describes the arguments and options of a command.\n`,
  ].join('\n');
}

export function commandHelp(command: Command): string {
  const { summary, details, arguments: args, options } = command;
  return [
    `usage: ${PROGRAM} ${synopsis(command)}\n`,
    `${wrap(summary)}${details === '' ? '' : `\n${wrap(details)}`}\n`,
    ...section(
      'arguments',
      Object.entries(args).map(([name, help]) => [`<${name}>`, help]),
    ),
    ...section(
      'options',
      Object.entries(options).map(([name, option]) => [
        flag(name, option),
        option.isRequired ? `${option.help} (required)` : option.help,
      ]),
    ),
  ].join('\n');
}

/** `users grant <user> <role> [--until <time>] --reason <text>`, without the options of every command. */
export function synopsis({ path, arguments: args, options }: Command): string {
  const own = Object.entries(options).filter(([name]) => !['json', 'dev', 'as'].includes(name));
  return [
    path,
    ...Object.keys(args).map((name) => `<${name}>`),
    ...own.map(([name, option]) => (option.isRequired ? flag(name, option) : `[${flag(name, option)}]`)),
  ].join(' ');
}

export function flag(name: string, { value }: Option): string {
  return value === undefined ? `--${name}` : `--${name} <${value}>`;
}

function section(title: string, entries: (readonly [string, string])[]): string[] {
  return entries.length === 0 ? [] : [list(title, entries)];
}

function list(title: string, entries: (readonly [string, string])[]): string {
  const width = Math.max(...entries.map(([name]) => name.length)) + 2;
  const indent = INDENT + ' '.repeat(width);
  return `${title}:\n${entries
    .map(([name, text]) => `${INDENT}${name.padEnd(width)}${wrap(text, indent).trimStart()}\n`)
    .join('')}`;
}

function wrap(text: string, indent = ''): string {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last === undefined || last.length + word.length >= WIDTH) lines.push(`${indent}${word}`);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines.join('\n');
}
