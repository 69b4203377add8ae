// A program that verifies tokens, and its answers to those of a deployment.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { processEnvironment } from '../../src/config/config.ts';
import type { Library } from './libraries.ts';
import { AUDIENCE, type Deployment, type TokenCase } from './tokens.ts';

/** The caller must close it. */
export type Contender = {
  /** @returns `ok <sub>`, or `rejected <why>` */
  ask(token: string): Promise<string>;
  close(): Promise<void>;
};

export type Judgement = {
  /** Whether it accepts valid tokens of this algorithm. */
  isAccepted: boolean;
  /** The answer to a valid token that it rejects. */
  why: string | null;
  /** The names of the invalid tokens that it accepts. */
  wronglyAccepted: string[];
  /** The number of tokens. */
  cases: number;
};

const ANSWER_TIMEOUT_MS = 30_000;

export async function judge(contender: Contender, cases: TokenCase[]): Promise<Judgement> {
  const answers = new Map<TokenCase, string>();
  try {
    for (const one of cases) answers.set(one, await contender.ask(one.token));
  } finally {
    await contender.close();
  }
  const isOk = (one: TokenCase) =>
    one.isValid ? answers.get(one) === `ok ${one.subject}` : answers.get(one)?.startsWith('ok') === true;
  const rejected = cases.find((one) => one.isValid && !isOk(one));
  return {
    isAccepted: rejected === undefined,
    why: rejected ? (answers.get(rejected) ?? null) : null,
    wronglyAccepted: cases.filter((one) => !one.isValid && isOk(one)).map(({ name }) => name),
    cases: cases.length,
  };
}

export function startProgram({ language, program }: Library, { issuer }: Deployment): Contender {
  const [command = '', ...args] = language.command(program);
  const child = spawn(command, args, {
    cwd: language.folder,
    env: { ...processEnvironment(), ISSUER: issuer, AUDIENCE } as NodeJS.ProcessEnv,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let errors = '';
  let hasAnswered = false;
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  child.on('error', (error) => {
    errors += error.message;
  });
  child.stdin.on('error', () => {});
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async ask(token) {
      child.stdin.write(`${token}\n`);
      const late = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
      const answer = await Promise.race([
        lines.next(),
        new Promise<never>((_, reject) => late.addEventListener('abort', () => reject(late.reason))),
      ]);
      if (!answer.done) {
        hasAnswered = true;
        return answer.value;
      }
      if (hasAnswered || child.exitCode === 0) throw new Error(`${program} has ended: ${errors.slice(-2_000)}`);
      // Some libraries read the keys when the program starts, and reject the whole set.
      return `rejected ${/(?:Exception|error): (.*)/i.exec(errors)?.[1] ?? errors.split('\n', 1)[0]}`;
    },
    async close() {
      child.stdin.end();
      child.kill();
      await closed;
    },
  };
}
