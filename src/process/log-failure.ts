import { createLogger, type Log, plainSentence } from './log.ts';
import { defectMessage } from './operator-error.ts';
import type { Build } from './release.ts';

type Failure = {
  error: unknown;
  /** A sentence, and lines with details, for an error that an operator can correct. Null for a defect. */
  sentence: string | null;
};

/** One line, for the process whose start has failed, perhaps before it could read its configuration. */
export function logFailure({ error, sentence }: Failure, build: Build): void {
  const log: Log = createLogger('fatal');
  const fields = { service_version: build.version, commit: build.commit };
  if (sentence === null) {
    log.fatal({ ...fields, err: error }, 'a defect of Latchkey has ended the process');
    return;
  }
  const [message = '', ...details] = sentence.split('\n').map((line) => plainSentence(line.trim()));
  const problems = details.filter((line) => line !== '');
  log.fatal({ ...fields, ...(problems.length > 0 && { problems }) }, message.replace(/:$/, ''));
}

/** For a terminal. A defect has its stack. */
export function failureText({ error, sentence }: Failure): string {
  return sentence ?? defectMessage(error);
}
