import type { Metrics } from '../telemetry/metrics.ts';
import type { Mailer } from './mailer.ts';
import { answerOf } from './smtp-answer.ts';

export function measureMailer(mailer: Mailer, metrics: Pick<Metrics, 'mailAttempted' | 'watchDependency'>): Mailer {
  let isUp: boolean | null = null;
  metrics.watchDependency('smtp', () => isUp);
  return {
    ...mailer,
    async send(mail, signal) {
      const startedAt = performance.now();
      const note = (outcome: 'sent' | 'rejected' | 'failed') => {
        isUp = outcome !== 'failed';
        metrics.mailAttempted(outcome, performance.now() - startedAt);
      };
      try {
        const sent = await mailer.send(mail, signal);
        note('sent');
        return sent;
      } catch (error) {
        // A stop of this process is no failure of the server.
        if (!signal.aborted) note(answerOf(error) ? 'rejected' : 'failed');
        throw error;
      }
    },
  };
}
