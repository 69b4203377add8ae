import { describe, expect, test } from 'vitest';
import {
  closureOf,
  fitsIntoToken,
  mayDefine,
  mayGrant,
  type RoleDefinition,
  type RoleGraph,
  wouldCircle,
  wouldFit,
} from '../../src/domain/role-graph.ts';

const role = (name: string, granter: string, ...implies: string[]): RoleDefinition => ({
  name,
  description: '',
  implies,
  granter,
  requiredAcr: 'pwd',
});
const graphOf = (...roles: RoleDefinition[]): RoleGraph => new Map(roles.map((one) => [one.name, one]));

/** `editor` implies `writer`, which implies `reader`. Librarians grant the three, administrators grant librarians. */
const graph = graphOf(
  role('admin', 'admin'),
  role('librarian', 'admin'),
  role('reader', 'librarian'),
  role('writer', 'librarian', 'reader'),
  role('editor', 'librarian', 'writer'),
  role('auditor', 'admin'),
);

test('a role implies all that its implied roles imply', () => {
  expect([...closureOf(graph, 'editor')]).toEqual(['editor', 'writer', 'reader']);
  expect([...closureOf(graph, 'reader')]).toEqual(['reader']);
});

test('an undefined role implies nothing', () => {
  expect([...closureOf(graph, 'ghost')]).toEqual(['ghost']);
});

test('a definition makes a circle when an implied role implies the role, directly or not', () => {
  expect(wouldCircle(graph, 'reader', ['auditor', 'editor'])).toBe(true);
  expect(wouldCircle(graph, 'reader', ['reader'])).toBe(true);
  expect(wouldCircle(graph, 'reader', ['auditor'])).toBe(false);
  expect(wouldCircle(graph, 'reader', [])).toBe(false);
});

describe('granting', () => {
  test('requires the granter role', () => {
    expect(mayGrant(graph, ['librarian'], 'editor')).toBe(true);
    expect(mayGrant(graph, ['admin'], 'editor')).toBe(false);
    expect(mayGrant(graph, [], 'editor')).toBe(false);
  });

  test('requires the granter role of each implied role', () => {
    const wider = new Map(graph).set('editor', role('editor', 'librarian', 'writer', 'auditor'));
    expect(mayGrant(wider, ['librarian'], 'editor')).toBe(false);
    expect(mayGrant(wider, ['librarian', 'admin'], 'editor')).toBe(true);
  });

  test('is denied for an undefined role, even to a caller with an empty role name', () => {
    expect(mayGrant(graph, ['admin', 'librarian'], 'ghost')).toBe(false);
  });
});

describe('defining', () => {
  test('requires the granter of a new role and the granters of its implied roles', () => {
    expect(mayDefine(graph, ['librarian'], role('critic', 'librarian', 'reader'))).toBe(true);
    expect(mayDefine(graph, ['librarian'], role('critic', 'admin', 'reader'))).toBe(false);
    expect(mayDefine(graph, ['librarian'], role('critic', 'librarian', 'auditor'))).toBe(false);
  });

  test('again keeps the granter of the role', () => {
    const both = ['admin', 'librarian'];
    expect(mayDefine(graph, both, role('writer', 'librarian', 'reader'))).toBe(true);
    expect(mayDefine(graph, both, role('writer', 'admin', 'reader'))).toBe(false);
  });

  test('again requires the right to grant the former role', () => {
    const before = new Map(graph).set('editor', role('editor', 'librarian', 'auditor'));
    expect(mayDefine(before, ['librarian'], role('editor', 'librarian'))).toBe(false);
    expect(mayDefine(before, ['librarian', 'admin'], role('editor', 'librarian'))).toBe(true);
  });

  test('again keeps the role grantable for each holder of its granter role', () => {
    // The caller may grant both. The other librarians could no longer grant editor.
    expect(mayDefine(graph, ['admin', 'librarian'], role('editor', 'librarian', 'writer', 'auditor'))).toBe(false);
    expect(mayDefine(graph, ['admin', 'librarian'], role('editor', 'librarian', 'reader'))).toBe(true);
  });

  test('again keeps an implied role that holders of the granter role cannot grant', () => {
    const before = new Map(graph).set('editor', role('editor', 'librarian', 'auditor'));
    expect(mayDefine(before, ['admin', 'librarian'], role('editor', 'librarian', 'auditor', 'reader'))).toBe(true);
  });

  test('uses the granter role with all that it implies', () => {
    const chief = new Map(graph)
      .set('chief', role('chief', 'admin', 'librarian'))
      .set('deputy', role('deputy', 'chief'));
    expect(mayDefine(chief, ['chief', 'librarian'], role('deputy', 'chief', 'reader'))).toBe(true);
  });
});

describe('the maximum size of roles in a token', () => {
  /** Names whose JSON text has this many bytes. */
  const namesOf = (bytes: number) => ['x'.repeat(bytes - 4)];

  test('is 1,500 bytes of JSON', () => {
    expect(fitsIntoToken(namesOf(1_500))).toBe(true);
    expect(fitsIntoToken(namesOf(1_501))).toBe(false);
    expect(fitsIntoToken(['é'.repeat(748)])).toBe(true);
    expect(fitsIntoToken(['é'.repeat(749)])).toBe(false);
  });

  test('counts a repeated role once', () => {
    expect(fitsIntoToken([...namesOf(1_400), ...namesOf(1_400)])).toBe(true);
  });

  test('applies to each role that would imply the new definition', () => {
    const [long] = namesOf(1_490) as [string];
    expect(wouldFit(graph, role('reader', 'librarian'))).toBe(true);
    // reader and the long name fit alone, and do not fit together with the roles that imply reader.
    expect(fitsIntoToken(['x', long])).toBe(true);
    expect(wouldFit(graphOf(role('x', 'admin')), role('x', 'admin', long))).toBe(true);
    expect(wouldFit(graphOf(role('x', 'admin'), role('editor', 'admin', 'x')), role('x', 'admin', long))).toBe(false);
  });
});
