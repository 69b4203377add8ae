import { expect, test } from 'vitest';
import { operatorActor } from '../../src/cli/operator-actor.ts';

function actorOf(names: Partial<Parameters<typeof operatorActor>[0]>) {
  const warnings: string[] = [];
  const actor = operatorActor({ as: '', operator: undefined, sudoUser: '', ...names }, (text) => warnings.push(text));
  return { actor: () => actor().kind === 'operator' && (actor() as { name: string }).name, warnings };
}

test('--as comes before OPERATOR, OPERATOR before the login', () => {
  expect(actorOf({ as: 'Mira', operator: 'Otto', login: 'ada' }).actor()).toBe('Mira');
  expect(actorOf({ operator: 'Otto', login: 'ada' }).actor()).toBe('Otto');
  expect(actorOf({ login: 'ada' }).actor()).toBe('ada');
});

test('sudo names the person behind a shared login', () => {
  expect(actorOf({ login: 'root', sudoUser: 'ada' }).actor()).toBe('ada');
  expect(actorOf({ login: 'mira', sudoUser: 'ada' }).actor()).toBe('mira');
});

test.each(['root', 'node', 'latchkey', 'uid-1000'])('a change as %s is warned about once', (login) => {
  const { actor, warnings } = actorOf({ login });
  expect(warnings).toEqual([]);
  expect([actor(), actor()]).toEqual([login, login]);
  expect(warnings).toEqual([expect.stringContaining(`"operator:${login}"`)]);
});

test.each([{ as: 'root' }, { operator: 'root' }, { login: 'ada' }])('no warning for %o', (names) => {
  const { actor, warnings } = actorOf({ login: 'root', ...names });
  actor();
  expect(warnings).toEqual([]);
});

test.each([
  '   ',
  'a'.repeat(65),
  'a'.repeat(1e6),
  'eve\nadmin',
  'eve\u202eadmin',
  '\u001b[2Jeve',
  'a\u2028b',
  '\ufffd',
])('the name %j is rejected', (as) => {
  expect(() => actorOf({ as })).toThrow(/^--as must /);
});

test('a login that is not printable does not reach the audit trail', () => {
  expect(actorOf({ login: 'eve\nadmin' }).actor()).toBe(`uid-${process.getuid?.()}`);
});
