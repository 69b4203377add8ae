// Compares the outcomes of a session, and finds the reason why they may differ.
import { ALLOWED_DIFFERENCES } from './allowed-differences.ts';
import { type Outcome, outcomeWords } from './outcome.ts';
import { SAME_MEANING } from './same-meaning.ts';
import { runNode, runOurs } from './servers.ts';
import type { Session } from './session.ts';

/** The names of the allowed differences that the session shows. */
export type Verdict = { allowed: string[]; problem: string | null };

export async function judge(session: Session): Promise<Verdict> {
  const [node, ours] = [await runNode(session), await runOurs(session)];
  const { frames } = session;
  const differences = differingStreams(node, ours).map((streamId) => ({ frames, node, ours, streamId }));
  const reasons = differences.map((difference) => ALLOWED_DIFFERENCES.find(({ allows }) => allows(difference)));
  const names = reasons.flatMap((reason) => (reason ? [reason.name] : []));
  if (names.length === differences.length) return { allowed: names, problem: null };
  for (const { name, rewrite } of SAME_MEANING) {
    const rewritten = rewrite(session);
    if (rewritten === null) continue;
    const { allowed, problem } = await judge(rewritten);
    if (problem === null) return { allowed: [name, ...allowed], problem };
  }
  const problem = `${session}\n  node: ${outcomeWords(node)}\n  ours: ${outcomeWords(ours)}`;
  return { allowed: names, problem };
}

/** Null stands for the connection. */
function differingStreams(node: Outcome, ours: Outcome): (number | null)[] {
  const failed = [node, ours].filter(({ connection }) => connection === 'error');
  // An error of the connection ends its streams, and neither server must answer them before.
  if (failed.length > 0) return failed.length === 1 ? [null] : [];
  const ids = new Set([...node.streams.keys(), ...ours.streams.keys()]);
  const differing = [...ids].filter((id) => node.streams.get(id) !== ours.streams.get(id));
  // After GOAWAY of the client, a connection ends with its streams.
  return differing.length === 0 && node.connection !== ours.connection ? [null] : differing;
}
