import { describe, expect, test } from 'vitest';
import { COMMAND_GROUPS, COMMANDS } from '../../src/cli/commands.ts';
import { type CommandLine, parseCommandLine } from '../../src/cli/parse-command-line.ts';
import { UsageError } from '../../src/cli/usage-error.ts';

function parse(text: string): CommandLine {
  return parseCommandLine(text === '' ? [] : text.split(' '));
}

function problemOf(text: string): string {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
  throw new Error(`accepted: ${text}`);
}

function helpOf(text: string): string {
  const line = parse(text);
  return line.kind === 'help' ? line.text : '';
}

describe('a command', () => {
  test('has its arguments and options, with the options in any position', () => {
    const values = {
      kind: 'command',
      args: { user: 'a@b.example', role: 'admin' },
      options: { until: '', reason: 'x', json: true, dev: false },
    };
    for (const text of [
      'users grant a@b.example admin --reason x --json',
      '--json users --reason x grant a@b.example admin',
      'users grant --reason=x a@b.example --json admin',
    ]) {
      const line = parse(text);
      expect(line, text).toMatchObject(values);
      expect(line.kind === 'command' && line.command.path, text).toBe('users grant');
    }
  });

  test('can be the default of its group', () => {
    for (const text of ['outbox', 'outbox --dead', 'outbox list']) {
      const line = parse(text);
      expect(line.kind === 'command' && line.command.path, text).toBe('outbox list');
    }
  });

  test('reads words after -- as arguments', () => {
    expect(parse('users show -- --json')).toMatchObject({ args: { user: '--json' }, options: { json: false } });
  });
});

test.each([
  ['', 'usage: latchkey <command>'],
  ['nonsense', 'unknown command: nonsense\n'],
  ['sevre', 'unknown command: sevre (did you mean serve?)\n'],
  ['users', 'usage: latchkey users <command>'],
  ['users grnat', 'unknown command: users grnat (did you mean users grant?)\n'],
  ['users show', '<user> is missing\n'],
  ['users show a b', 'unexpected argument: b\n'],
  ['serve x', 'unexpected argument: x\n'],
  ['serve --json', 'unknown option: --json\n'],
  ['worker --workers 2', 'unknown option: --workers\n'],
  ['users show a --until 2030-01-01', 'unknown option: --until\n'],
  ['users disable a --raeson x', 'unknown option: --raeson (did you mean --reason?)\n'],
  ['outbox --limt 3', 'unknown option: --limt (did you mean --limit?)\n'],
  ['outbox retry all --limit 3', 'unknown option: --limit\n'],
  ['users disable a --reason', "Option '--reason <value>' argument missing\n"],
  ['users show a --json=yes', "Option '--json' does not take an argument\n"],
  ['toString', 'unknown command: toString\n'],
  ['users show a --toString', 'unknown option: --toString\n'],
])('%j is a usage error', (text, problem) => {
  const message = problemOf(text);
  expect(message.startsWith(problem), message).toBe(true);
  expect(message).toMatch(/^usage: latchkey /m);
});

describe('the help', () => {
  test('without a command names every command and group', () => {
    const text = helpOf('--help');
    for (const { path } of COMMANDS.filter((command) => !command.path.includes(' '))) {
      expect(text).toMatch(new RegExp(`^  ${path} `, 'm'));
    }
    for (const group of Object.keys(COMMAND_GROUPS)) expect(text).toMatch(new RegExp(`^  ${group} `, 'm'));
    expect(helpOf('-h')).toBe(text);
  });

  test.each(Object.keys(COMMAND_GROUPS))('for %s names each of its commands', (group) => {
    const text = helpOf(`${group} --help`);
    for (const { path } of COMMANDS.filter((command) => command.path.startsWith(`${group} `))) {
      expect(text).toMatch(new RegExp(`^  ${path}( |$)`, 'm'));
    }
  });

  test.each(COMMANDS.map((command) => [command.path, command] as const))('for %s is complete', (path, command) => {
    const text = helpOf(`${path} --help`).replaceAll(/\s+/g, ' ');
    const { summary, details, arguments: args, options } = command;
    const names = [...Object.keys(args).map((name) => `<${name}>`), ...Object.keys(options).map((name) => `--${name}`)];
    for (const part of [summary, details, ...Object.values(args), ...names]) expect(text).toContain(part);
    for (const { help } of Object.values(options)) expect(text).toContain(help);
  });
});

test('an option has the same kind in every command', () => {
  const kinds = Map.groupBy(
    COMMANDS.flatMap(({ options }) => Object.entries(options)),
    ([name]) => name,
  );
  for (const [name, uses] of kinds) {
    expect(new Set(uses.map(([, { value }]) => value === undefined)).size, name).toBe(1);
  }
});

test('every command of two words belongs to a group', () => {
  const groups = COMMANDS.map(({ path }) => path.split(' ')).filter(({ length }) => length > 1);
  expect(new Set(groups.map(([group]) => group))).toEqual(new Set(Object.keys(COMMAND_GROUPS)));
});
