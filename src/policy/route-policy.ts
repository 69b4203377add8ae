// The rules of a policy file, and the rule that applies to a request. As in the Gateway API, the most specific host
// counts first, then the longest path.

import { normalizedHost, readingsOf } from '../domain/request-target.ts';
import {
  combineRequirements,
  NO_REQUIREMENT,
  parseRequirement,
  type RouteRequirement,
  type StatedRequirement,
} from './route-requirement.ts';

export type RouteRule = {
  /** `shop.example`, `*.shop.example`, or empty for any host. */
  host: string;
  /** A prefix of whole segments. `/` matches every path. */
  path: string;
  requirement: RouteRequirement;
};

export type RoutePolicy = {
  /**
   * @param authority empty when it is unknown
   * @param target the path of the request, with or without its query
   * @returns no requirement for a request without a rule
   */
  requirementFor(authority: string, target: string): StatedRequirement;
};

type Group = { host: string; rules: Map<string, RouteRule>; longest: number };

const WITHOUT_RULE = combineRequirements([parseRequirement({ access: 'required' })]);

/** @param rules no two of the same host and path in any case */
export function createRoutePolicy(rules: RouteRule[]): RoutePolicy {
  const groups = groupsOf(rules);
  /** For a request that could be any. */
  const strictest = combineRequirements([WITHOUT_RULE, ...rules.map(({ requirement }) => requirement)]);

  /** Every rule that can apply; null stands for a request without a rule. */
  function rulesFor(host: string | null, reading: string): (RouteRule | null)[] {
    const matching = host === null ? groups : groups.filter((group) => isHostOf(group.host, host));
    // Some services ignore the case of a path, and some do not.
    return [true, false].flatMap((isSameCase) => {
      const each = matching.map((group) => longestPrefix(group, reading, isSameCase)).filter((rule) => rule !== null);
      // The host may be one without a rule.
      return host === null ? [...each, null] : [each[0] ?? null];
    });
  }

  return {
    requirementFor(authority, target) {
      const readings = readingsOf(target);
      if (!readings) return strictest;
      const host = normalizedHost(authority);
      const found = new Set(readings.flatMap((reading) => rulesFor(host, reading)));
      const [only] = found;
      if (found.size === 1) return only?.requirement ?? NO_REQUIREMENT;
      return combineRequirements([...found].map((rule) => rule?.requirement ?? WITHOUT_RULE));
    },
  };
}

/** The most specific host first. */
function groupsOf(rules: RouteRule[]): Group[] {
  const groups = new Map<string, Group>();
  for (const rule of rules) {
    const group = groups.get(rule.host) ?? { host: rule.host, rules: new Map(), longest: 0 };
    group.rules.set(rule.path.toLowerCase(), rule);
    group.longest = Math.max(group.longest, rule.path.length);
    groups.set(rule.host, group);
  }
  const isWildcard = ({ host }: Group) => Number(host === '' || host.startsWith('*'));
  return [...groups.values()].sort((a, b) => isWildcard(a) - isWildcard(b) || b.host.length - a.host.length);
}

function isHostOf(pattern: string, host: string): boolean {
  if (pattern === '') return true;
  return pattern.startsWith('*') ? host.endsWith(pattern.slice(1)) && host.length >= pattern.length : pattern === host;
}

function longestPrefix({ rules, longest }: Group, path: string, isSameCase: boolean): RouteRule | null {
  for (let end = path.length; end > 0; end = path.lastIndexOf('/', end - 1)) {
    if (end > longest) continue;
    const rule = ruleAt(rules, path.slice(0, end), isSameCase);
    if (rule) return rule;
  }
  return ruleAt(rules, '/', isSameCase);
}

function ruleAt(rules: Group['rules'], prefix: string, isSameCase: boolean): RouteRule | null {
  const rule = rules.get(prefix.toLowerCase());
  return rule && (!isSameCase || rule.path === prefix) ? rule : null;
}
