// Counts what the library does, for the metrics of any system. Has no dependency on one.
import type { Reason } from '../domain/error-reason.ts';

export type Metric = {
  /** Such as `latchkey.client.verdicts`. Prometheus writes `latchkey_client_verdicts_total`. */
  name: string;
  /** A counter only increases. */
  type: 'counter' | 'gauge';
  /** A unit of UCUM, such as `s` or `{verdict}`. */
  unit: string;
  description: string;
  points: { value: number; attributes: Record<string, string> }[];
};

type Source = 'memory' | 'server';

type Readings = {
  stalenessMs(): number;
  isFollowing(): boolean;
  cachedBytes(): number;
};

export function createClientMetrics(readings: Readings) {
  const verdicts = { memory: new Map<string, number>(), server: new Map<string, number>() };
  const asks = { answered: 0, failed: 0 };
  let streams = 0;

  return {
    verdict(source: Source, verdict: Reason | 'valid'): void {
      verdicts[source].set(verdict, (verdicts[source].get(verdict) ?? 0) + 1);
    },
    asked(outcome: keyof typeof asks): void {
      asks[outcome] += 1;
    },
    streamStarted(): void {
      streams += 1;
    },

    read(): Metric[] {
      const age = readings.stalenessMs() / 1000;
      const plain = (value: number) => [{ value, attributes: {} }];
      return [
        {
          name: 'latchkey.client.verdicts',
          type: 'counter',
          unit: '{verdict}',
          description: 'Verified tokens, by verdict (valid, or the reason) and source (memory, or server).',
          points: Object.entries(verdicts).flatMap(([source, counts]) =>
            [...counts].map(([verdict, value]) => ({ value, attributes: { verdict, source } })),
          ),
        },
        {
          name: 'latchkey.client.asks',
          type: 'counter',
          unit: '{call}',
          description: 'Calls of Verify because the revocation data was too old, by outcome (answered or failed).',
          points: Object.entries(asks).map(([outcome, value]) => ({ value, attributes: { outcome } })),
        },
        {
          name: 'latchkey.client.reconnects',
          type: 'counter',
          unit: '{stream}',
          description: 'Streams of Watch that were started after the first one.',
          points: plain(Math.max(0, streams - 1)),
        },
        {
          name: 'latchkey.client.following',
          type: 'gauge',
          unit: '1',
          description: '1 while the stream of a server is up to date, otherwise 0.',
          points: plain(readings.isFollowing() ? 1 : 0),
        },
        {
          name: 'latchkey.client.revocation_view.age',
          type: 'gauge',
          unit: 's',
          description: 'Age of the revocation data. Without a value before the first data.',
          points: Number.isFinite(age) ? plain(age) : [],
        },
        {
          name: 'latchkey.client.token_cache.size',
          type: 'gauge',
          unit: 'By',
          description: 'Memory of the cache of verified tokens.',
          points: plain(readings.cachedBytes()),
        },
      ];
    },
  };
}
