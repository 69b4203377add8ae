import { pause } from '../../src/async/pause.ts';
import type { Environment } from '../../src/config/config.ts';
import type { Scene } from './scene.ts';

/** The values of the page's placeholders, such as `<email>`. */
export type Values = Record<string, string>;

/** The events around the commands of one section. */
export type Incident = {
  /** The reason why this machine cannot make it, or null. */
  whyNot?: () => Promise<string | null> | string | null;
  /** Settings of the service that only this incident needs. */
  settings?: Environment | ((scene: Scene) => Promise<Environment>);
  /** False for settings with which the service does not start. The incident starts it. */
  startsWithSettings?: false;
  make(scene: Scene): Promise<Values>;
  /** The actions of the page beyond its commands, such as to start Redis. */
  beforeDo?(scene: Scene, values: Values): Promise<unknown>;
  /** The same, between the commands of the page: by the beginning of the command that it precedes. */
  before?: Record<string, (scene: Scene, values: Values) => Promise<void>>;
  afterDo?(scene: Scene, values: Values): Promise<unknown>;
  /** The state that users must find at the end. */
  proof?(scene: Scene, values: Values): Promise<void>;
  /** Runs at the end, also after a failure. */
  cleanUp?(scene: Scene): Promise<void>;
};

/** By heading of the page. */
export type Incidents = Record<string, Incident>;

/** Repeats the work until the returned function is called. Failures belong to the incident. */
export function keepDoing(everyMs: number, work: () => Promise<unknown>): () => Promise<void> {
  const stop = new AbortController();
  const ended = (async () => {
    while (!stop.signal.aborted) {
      await work().catch(() => {});
      await pause(everyMs, stop.signal);
    }
  })();
  return async () => {
    stop.abort();
    await ended;
  };
}
