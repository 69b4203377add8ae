// Parses a policy file: YAML, or JSON, which is YAML. A file with a problem is rejected as a whole.
import { isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseAllDocuments, type YAMLMap } from 'yaml';
import { AuthError } from '../domain/auth-error.ts';
import { createRoutePolicy, type RoutePolicy, type RouteRule } from './route-policy.ts';
import { combineRequirements, parseRequirement } from './route-requirement.ts';

export class InvalidPolicy extends Error {
  readonly problems: string[];

  constructor(problems: string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

const MAX_CHARACTERS = 1024 * 1024;
const MAX_ROUTES = 10_000;
const HOST = /^(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$|^\[[0-9a-f:.]+\]$/;
/** Segments that every server reads alike: a rule with another path would match nothing, or something else. */
const PATH = /^\/$|^(\/(?!\.{1,2}(\/|$))[\w.~!$&'()+,=:@-]+)+\/?$/;
const GRPC = /^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(\/[A-Za-z_]\w*)?$/;
const MATCHERS: Record<string, { pattern: RegExp; description: string }> = {
  host: { pattern: HOST, description: 'must be a host name in lower case without a port, or *. and a host name' },
  path: {
    pattern: PATH,
    description: 'must begin with / and have segments without % ; \\ ? # * and without . or .. as a segment',
  },
  grpc: {
    pattern: GRPC,
    description: 'must be a service such as shop.v1.Orders, or a method such as shop.v1.Orders/Place',
  },
};

/** @throws InvalidPolicy with every problem of the file */
export function parsePolicy(text: string): RoutePolicy {
  if (text.length > MAX_CHARACTERS) throw new InvalidPolicy([`the file must be at most ${MAX_CHARACTERS} characters`]);
  const lines = new LineCounter();
  const [document, ...more] = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, merge: false });
  const problems: string[] = [];
  const at: Report = (node, problem) => {
    const offset = node?.range?.[0];
    problems.push(offset === undefined ? problem : `line ${lines.linePos(offset).line}: ${problem}`);
  };
  if (!document || more.length > 0) throw new InvalidPolicy(['the file must be one YAML document']);
  for (const { message, pos } of [...document.errors, ...document.warnings])
    problems.push(`line ${lines.linePos(pos[0]).line}: ${message}`);
  if (problems.length > 0) throw new InvalidPolicy(problems);
  const rules = routesOf(document.contents, at).map((route) => toRule(route, at));
  rejectRepeated(rules, at);
  if (problems.length > 0) throw new InvalidPolicy(problems);
  return createRoutePolicy(rules.flatMap(({ rule }) => rule ?? []));
}

type Report = (node: Node | null, problem: string) => void;
type Parsed = { node: YAMLMap; rule: RouteRule | null };

function routesOf(contents: unknown, at: Report): YAMLMap[] {
  const [pair, ...others] = isMap(contents) ? (contents.items as Pair[]) : [];
  const list = pair && keyOf(pair) === 'routes' && others.length === 0 ? pair.value : null;
  if (!isSeq(list)) {
    at(null, 'the file must have one member, routes, with a list');
    return [];
  }
  if (list.items.length === 0 || list.items.length > MAX_ROUTES)
    at(list, `routes must have 1 to ${MAX_ROUTES} entries`);
  for (const item of list.items)
    if (!isMap(item)) at(item as Node, 'a route must have members such as host, path and access');
  return list.items.filter((item) => isMap(item));
}

function toRule(node: YAMLMap, at: Report): Parsed {
  const texts: Record<string, string> = {};
  const nodes: Record<string, Node> = {};
  let isValid = true;
  const reject = (where: Node | null, problem: string) => {
    isValid = false;
    at(where, problem);
  };
  for (const pair of node.items as Pair[]) {
    const [name, value] = [keyOf(pair), pair.value];
    nodes[name] = pair.key as Node;
    const text = textOf(name, value);
    if (text !== null) texts[name] = text;
    else reject(pair.key as Node, `${name} must be a text`);
  }
  const { host, path, grpc, ...stated } = texts;
  for (const [name, { pattern, description }] of Object.entries(MATCHERS))
    if (texts[name] !== undefined && !pattern.test(texts[name])) reject(nodes[name] ?? node, `${name} ${description}`);
  if (path !== undefined && grpc !== undefined) reject(node, 'a route must have path or grpc, and not both');
  const requirement = requirementOf(stated, (field, description) =>
    reject(nodes[field] ?? node, `${field} ${description}`),
  );
  if (!isValid || !requirement) return { node, rule: null };
  const prefix = grpc === undefined ? (path ?? '/') : `/${grpc}`;
  return {
    node,
    rule: { host: host ?? '', path: prefix.length > 1 ? prefix.replace(/\/$/, '') : prefix, requirement },
  };
}

/** Null for a value of another type. The only number is `max_age`, which may be a text too. */
function textOf(name: string, value: unknown): string | null {
  if (!isScalar(value)) return null;
  if (name === 'max_age' && typeof value.value === 'number') return String(value.value);
  return typeof value.value === 'string' ? value.value : null;
}

/** A rule states every requirement: it has the default of each that the file leaves out. */
function requirementOf(stated: Record<string, string>, reject: (field: string, description: string) => void) {
  try {
    return combineRequirements([parseRequirement({ access: 'required', ...stated })]);
  } catch (error) {
    if (!(error instanceof AuthError)) throw error;
    for (const { field, description } of error.violations) {
      const others = `${description}, host, path, grpc`;
      reject(field, description.startsWith('is not one of') ? others : description);
    }
    return null;
  }
}

function rejectRepeated(rules: Parsed[], at: Report): void {
  const known = new Set<string>();
  for (const { node, rule } of rules) {
    if (!rule) continue;
    const name = `${rule.host} ${rule.path}`.toLowerCase();
    if (known.has(name)) at(node, `another route has the host ${rule.host || '(any)'} and the path ${rule.path}`);
    known.add(name);
  }
}

function keyOf({ key }: Pair): string {
  return isScalar(key) ? String(key.value) : '(a key that is not a text)';
}
