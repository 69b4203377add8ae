// Keeps the policy of a file up to date.
import { readFile } from 'node:fs/promises';
import { OperatorError } from '../process/operator-error.ts';
import { InvalidPolicy, parsePolicy } from './policy-file.ts';
import type { RoutePolicy } from './route-policy.ts';

export type FollowedPolicy = {
  current(): RoutePolicy;
  /** Whether the file has changed and cannot be used, so that the former policy applies. */
  isOutdated(): boolean;
  close(): void;
};

export type FollowOptions = {
  path: string;
  onChange: () => void;
  /** Receives each reason once. */
  onRejected: (problems: string[]) => void;
  everyMs?: number;
};

const READ_EVERY_MS = 1_000;

/** @throws OperatorError with every problem of the file, when it cannot be used at the start */
export async function followPolicyFile(options: FollowOptions): Promise<FollowedPolicy> {
  const { path, onChange, onRejected, everyMs = READ_EVERY_MS } = options;
  let used = await read(path);
  const first = policyOf(used);
  if (Array.isArray(first)) throw rejection(first);
  let current = first;
  let [seen, problem] = [used, ''];

  // Compared by content: Kubernetes swaps links when it mounts a ConfigMap, and file events for these are unreliable.
  async function check(): Promise<void> {
    const found = await read(path);
    // An editor can write a file in pieces. A text counts once it has been read twice.
    const isSettled = found.text === seen.text && found.failure === seen.failure;
    seen = found;
    if (!isSettled) return;
    if (found.text !== null && found.text === used.text) {
      problem = '';
      return;
    }
    const policy = policyOf(found);
    if (!Array.isArray(policy)) {
      [current, used, problem] = [policy, found, ''];
      return onChange();
    }
    const message = policy.join('\n');
    if (message !== problem) onRejected(policy);
    problem = message;
  }

  let isRunning = false;
  const timer = setInterval(() => {
    if (isRunning) return;
    isRunning = true;
    void check().finally(() => {
      isRunning = false;
    });
  }, everyMs).unref();

  return {
    current: () => current,
    isOutdated: () => problem !== '',
    close: () => clearInterval(timer),
  };
}

export async function policyFileProblems(path: string): Promise<string[]> {
  const policy = policyOf(await read(path));
  return Array.isArray(policy) ? policy : [];
}

type Found = { text: string | null; failure: string };

async function read(path: string): Promise<Found> {
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path)), failure: '' };
  } catch (error) {
    const { code = 'it is not UTF-8' } = error as { code?: string };
    return { text: null, failure: `the file cannot be read: ${code}` };
  }
}

function policyOf({ text, failure }: Found): RoutePolicy | string[] {
  if (text === null) return [failure];
  try {
    return parsePolicy(text);
  } catch (error) {
    if (error instanceof InvalidPolicy) return error.problems;
    throw error;
  }
}

function rejection(problems: string[]): OperatorError {
  return new OperatorError(`invalid POLICY_FILE:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
}
