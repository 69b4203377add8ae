import type { Command } from '../../cli/command.ts';
import { COMMAND_GROUPS, COMMANDS } from '../../cli/commands.ts';
import { flag, synopsis } from '../../cli/help.ts';
import { COMMON_OPTIONS } from '../../cli/operator-command.ts';
import { anchor, code, escapeTags, paragraphs, table } from './markdown.ts';
import type { Page } from './page.ts';

export function cliPage(): Page {
  const single = COMMANDS.filter(({ path }) => !path.includes(' '));
  return {
    path: 'docs/reference/cli.md',
    text: paragraphs(
      '# Command line',
      '`latchkey <command> [options]` runs the service and administers it.',
      'In a working tree it is `npm run latchkey -- <command> [options]`. `latchkey --help`, `latchkey users --help` and `latchkey users grant --help` print the same texts, and `latchkey --version` the version.',
      table(
        ['Command', 'Meaning'],
        COMMANDS.map(({ path, summary }) => [`[${path}](#${anchor(path)})`, escapeTags(summary)]),
      ),
      '## Common options',
      'Commands that read or change the state of a service have these options besides their own.',
      listOf(Object.entries(COMMON_OPTIONS).map(([name, option]) => [flag(name, option), option.help])),
      ...single.flatMap((command) => commandSection(command)),
      ...Object.entries(COMMAND_GROUPS).flatMap(([group, meaning]) => [
        `## ${group}`,
        escapeTags(meaning),
        ...COMMANDS.filter(({ path }) => path.startsWith(`${group} `)).flatMap((command) => commandSection(command)),
      ]),
    ),
  };
}

function commandSection(command: Command): string[] {
  const { path, summary, details, arguments: args, options, isDefault } = command;
  const group = path.split(' ', 1)[0];
  const own = Object.entries(options).filter(([name]) => !Object.hasOwn(COMMON_OPTIONS, name));
  return [
    `${path.includes(' ') ? '###' : '##'} ${path}`,
    `\`\`\`\nlatchkey ${synopsis(command)}\n\`\`\``,
    escapeTags(`${summary} ${details}`.trim()),
    isDefault ? `\`latchkey ${group}\` alone runs this command.` : '',
    listOf(Object.entries(args).map(([name, help]) => [`<${name}>`, help])),
    listOf(
      own.map(([name, option]) => [flag(name, option), option.isRequired ? `${option.help} (required)` : option.help]),
    ),
    own.length < Object.keys(options).length ? 'Also the [common options](#common-options).' : '',
  ];
}

function listOf(entries: [string, string][]): string {
  return entries.map(([name, help]) => `- ${code(name)}: ${escapeTags(help)}`).join('\n');
}
