// The pages of docs/reference are generated from the code, hold all of it, and are in step with it.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { COMMAND_GROUPS, COMMANDS } from '../../src/cli/commands.ts';
import { CONFIGURATION } from '../../src/config/configuration.ts';
import { LAYERS } from '../../src/dev/layers.ts';
import { apiPages } from '../../src/dev/reference/api-pages.ts';
import { PACKAGE, readContract } from '../../src/dev/reference/contract.ts';
import {
  anchor,
  escapeTags,
  firstSentence,
  linkNames,
  replaceSection,
  table,
} from '../../src/dev/reference/markdown.ts';
import { referencePages, referenceProblems } from '../../src/dev/reference/pages.ts';
import { AUDIT_EVENT_TYPES } from '../../src/domain/audit-event-types.ts';
import { ERROR_REASONS } from '../../src/domain/error-reason.ts';
import { LIMITS } from '../../src/limits/limits.ts';

const contract = readContract('.');
const pages = new Map(referencePages('.').map(({ path, text }) => [path.replace('docs/reference/', ''), text]));

test('the pages are in step with the code', () => {
  expect(referenceProblems('.')).toEqual([]);
});

test('each RPC has a heading on the page of its service, with its URL, access and comment', () => {
  const methods = contract.files.flatMap(({ services }) => services.flatMap((service) => service.methods));
  expect(methods.length).toBeGreaterThan(50);
  const texts = [...pages.values()].join('\n');
  for (const method of methods) {
    expect(texts).toContain(`\n## ${method.name}\n`);
    expect(texts).toContain(`\`POST /${PACKAGE}.${method.parent.name}/${method.name}\`. Access: [`);
    expect(contract.commentOf(method)).not.toBe('');
  }
});

test('each reason has a heading and a row', () => {
  for (const reason of Object.keys(ERROR_REASONS)) {
    expect(pages.get('errors.md')).toContain(`\n## ${reason}\n`);
    expect(pages.get('errors.md')).toContain(`| [${reason}](#${reason.toLowerCase()}) |`);
  }
});

test('each command, group and audit event type has its entry', () => {
  for (const { path } of COMMANDS) expect(pages.get('cli.md')).toMatch(new RegExp(`^##+ ${path}$`, 'm'));
  for (const group of Object.keys(COMMAND_GROUPS)) expect(pages.get('cli.md')).toContain(`\n## ${group}\n`);
  for (const type of Object.keys(AUDIT_EVENT_TYPES)) {
    expect(pages.get('audit-events.md')).toContain(`\n| \`${type}\` | `);
  }
});

test('each configuration key has a heading, its default and its secret file', () => {
  const page = pages.get('configuration.md') ?? '';
  for (const { name, group, isSecret } of CONFIGURATION) {
    if (group === 'Rate limits') expect(page).not.toContain(`### \`${name}\``);
    else expect(page).toContain(`\n### \`${name}\`\n`);
    expect(page.includes(`- Secret: \`${name}_FILE\``)).toBe(isSecret);
  }
  expect(page).toContain('### `PORT`\n\nThe port of the API; 0 selects a free port.\n\n- Value: an integer');
  expect(page).toContain('- Default: `8080`');
});

test('each limit has a row with its attempts', () => {
  for (const [name, { points }] of Object.entries(LIMITS)) {
    expect(pages.get('rate-limits.md')).toMatch(new RegExp(`^\\| \`${name}\` \\|.*\\| ${points} \\|`, 'm'));
  }
});

test('each metric of the alerts and the dashboard is documented', () => {
  const texts = ['deploy/prometheus/alerts.yml', 'deploy/grafana/latchkey.json'].map((path) =>
    readFileSync(path, 'utf8'),
  );
  const used = new Set(texts.join('').match(/(?<!by ?\([^)]*)\b(?:latchkey|db_client|rpc_server)_[a-z_]+(?=[[{)])/g));
  expect(used.size).toBeGreaterThan(10);
  const undocumented = [...used].filter(
    (name) => !pages.get('metrics.md')?.includes(`\`${name.replace(/_(?:bucket|sum|count)$/, '')}`),
  );
  expect(undocumented).toEqual([]);
});

test('each folder of the table of layers is in the architecture', () => {
  for (const { name } of LAYERS.flat()) expect(pages.get('docs/architecture.md')).toContain(`| \`src/${name}\` | `);
});

test('each link leads to a heading of a generated page', () => {
  const anchors = new Set(
    [...pages].flatMap(([path, text]) =>
      [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => `${path}#${anchor(heading)}`),
    ),
  );
  const broken = [...pages].flatMap(([path, text]) =>
    [...text.matchAll(/\]\(([\w-]+\.md)?#([\w-]+)\)/g)]
      .map(([, file, name]) => `${file ?? path}#${name}`)
      .filter((target) => !anchors.has(target)),
  );
  expect(broken).toEqual([]);
});

test('a page shows the fields of a message, and names of reasons are links', () => {
  const page = apiPages(contract, new Map([['TOKEN_STALE', 'errors.md#token_stale']])).find(({ path }) =>
    path.endsWith('/auth-service.md'),
  );
  expect(page?.text).toContain('| `access_token` | `string` |');
  expect(page?.text).toContain('[TOKEN_STALE](errors.md#token_stale)');
});

describe('Markdown', () => {
  test('a table is not padded, keeps a row on its line and escapes bars', () => {
    expect(table(['A', 'Long'], [['x', 'one\n  two | three']])).toBe(
      '| A | Long |\n|---|---|\n| x | one two \\| three |',
    );
  });

  test('tags are escaped outside of code', () => {
    expect(escapeTags('Bearer <token>, `Bearer <token>`')).toBe('Bearer &lt;token>, `Bearer <token>`');
  });

  test('names that have a target become links outside of code', () => {
    const targets = new Map([['PORT', 'x.md#port']]);
    expect(linkNames('PORT, HEALTH_PORT and `PORT`.', targets)).toBe('[PORT](x.md#port), HEALTH_PORT and `PORT`.');
  });

  test('a section between markers is replaced, and a page without them is an error', () => {
    const page = (section: string) => `a\n<!-- generated: x -->\n${section}<!-- /generated -->\nb\n`;
    expect(replaceSection(page(''), 'x', 'new')).toBe(page('\nnew\n\n'));
    expect(replaceSection(page('\nold\n\n'), 'x', 'new')).toBe(page('\nnew\n\n'));
    expect(() => replaceSection('a', 'x', 'new')).toThrow('no section <!-- generated: x -->');
  });

  test('an anchor is the one of GitHub', () => {
    expect(anchor('users grant <user> `TOKEN_STALE`')).toBe('users-grant-user-token_stale');
  });

  test.each([
    ['Ends a session. And more.', 'Ends a session.'],
    ['Ends e-mail at example.com\nfor good. More.', 'Ends e-mail at example.com for good.'],
    ['No full stop', 'No full stop'],
  ])('the first sentence of %j', (text, sentence) => {
    expect(firstSentence(text)).toBe(sentence);
  });
});
