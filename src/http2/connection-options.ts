import type { Limits } from './limits.ts';
import type { Http2Stream } from './stream.ts';

export type ConnectionOptions<Context> = {
  limits: Limits;
  context: Context;
  /** Called for each request, when its headers have arrived. */
  onStream(stream: Http2Stream<Context>): void;
  onClosed(): void;
  /** A defect of the code above: the connection ends with INTERNAL_ERROR. */
  onDefect(error: unknown): void;
};
