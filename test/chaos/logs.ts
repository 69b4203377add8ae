import type { ServiceNode } from './service-node.ts';

const LEVELS = ['error', 'fatal'];
const MOST = 5;

/** The number of matching lines that the processes have logged since then. */
export function countLogged(nodes: Pick<ServiceNode, 'output'>[], since: Date, pattern: RegExp): number {
  const lines = nodes.flatMap((node) => node.output().split('\n'));
  return lines.filter((line) => pattern.test(line) && isSince(line, since)).length;
}

function isSince(line: string, since: Date): boolean {
  const time = /"time":"([^"]+)"/.exec(line)?.[1];
  return time !== undefined && new Date(time) >= since;
}

/** Each message that the processes have logged as an error since then, once. */
export function loggedErrors(nodes: Pick<ServiceNode, 'output'>[], since: Date): string[] {
  const lines = nodes.flatMap((node) => node.output().split('\n'));
  const messages = lines.map((line) => messageOf(line, since)).filter((message) => message !== null);
  return [...new Set(messages)].slice(0, MOST).map((message) => `logged: ${message}`);
}

function messageOf(line: string, since: Date): string | null {
  try {
    const { level, time, msg, err } = JSON.parse(line);
    if (!LEVELS.includes(level) || new Date(time) < since) return null;
    return [msg, err?.code, err?.message].filter(Boolean).join(': ').slice(0, 300);
  } catch {
    return null;
  }
}
