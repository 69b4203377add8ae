// Sends the tokens of a deployment to the program of a library, one at a time, and compares the answers.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { processEnvironment } from '../../src/config/config.ts';
import type { Library } from './libraries.ts';
import { AUDIENCE, type Deployment, type TokenCase } from './tokens.ts';

/** `ok <sub>`, or `rejected <why>`. */
type Ask = (token: string) => Promise<string>;
/** The caller must close it. */
type Contender = { ask: Ask; close(): Promise<void> };

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

/**
 * RFC 7515 section 4.1.11 requires the check, and several libraries lack it. Latchkey signs no token with `crit`, so
 * they accept nothing that a stranger could make.
 */
export const UNCHECKED = ['unknown crit'];
const ANSWER_TIMEOUT_MS = 30_000;

export async function judge(library: Library, deployment: Deployment): Promise<Judgement> {
  const contender = start(library, deployment);
  try {
    return await judgementOn(contender.ask, deployment.cases);
  } finally {
    await contender.close();
  }
}

async function judgementOn(ask: Ask, cases: TokenCase[]): Promise<Judgement> {
  const answers = new Map<TokenCase, string>();
  for (const one of cases) answers.set(one, await ask(one.token));
  const isOk = (one: TokenCase) => answers.get(one)?.startsWith('ok ') === true;
  const rejected = cases.find((one) => one.isValid && !isOk(one));
  return {
    isAccepted: rejected === undefined,
    why: rejected ? (answers.get(rejected) ?? null) : null,
    wronglyAccepted: cases.filter((one) => !one.isValid && isOk(one)).map(({ name }) => name),
    cases: cases.length,
  };
}

function start({ language, program }: Library, { issuer }: Pick<Deployment, 'issuer'>): Contender {
  const [command = '', ...args] = language.command(program);
  const child = spawn(command, args, {
    cwd: language.folder,
    env: { ...processEnvironment(), ISSUER: issuer, AUDIENCE } as NodeJS.ProcessEnv,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let errors = '';
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
      if (answer.done) throw new Error(`${program} has ended: ${errors.slice(-2_000)}`);
      return answer.value;
    },
    async close() {
      child.stdin.end();
      child.kill();
      await closed;
    },
  };
}
