// The channel between a worker of `serve --workers` and its supervisor, which requests the metrics of each worker.
import { deserialize, serialize } from 'node:v8';
import type { Snapshot } from './combine-metrics.ts';

/** Base64, because the JSON of the channel has no NaN and no infinity. */
type Answer = { latchkeyMetrics: string };

export const REQUEST = { latchkeyMetrics: 'request' } as const;

/** In a worker. */
export function answerSupervisor(snapshot: () => Promise<Snapshot>): void {
  process.on('message', async (message: unknown) => {
    if (textOf(message) !== REQUEST.latchkeyMetrics) return;
    const answer: Answer = { latchkeyMetrics: serialize(await snapshot()).toString('base64') };
    // The channel closes when the supervisor has ended.
    process.send?.(answer, undefined, undefined, () => {});
  });
}

/** Null for another message. */
export function snapshotOf(message: unknown): Snapshot | null {
  const text = textOf(message);
  return text === null ? null : deserialize(Buffer.from(text, 'base64'));
}

function textOf(message: unknown): string | null {
  const text = (message as Partial<Answer> | null)?.latchkeyMetrics;
  return typeof text === 'string' ? text : null;
}
