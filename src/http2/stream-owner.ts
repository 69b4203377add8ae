import type { FlowControl } from './flow-control.ts';
import type { HeaderList } from './hpack/header-list.ts';
import type { Limits } from './limits.ts';
import type { Output } from './output.ts';
import type { Http2Stream } from './stream.ts';

export type StreamHead<Context> = { id: number; headers: HeaderList; context: Context; sendWindow: number };

/** The part of a connection that its streams use. */
export type StreamOwner = {
  readonly limits: Limits;
  readonly output: Output;
  /** performance.now() at the start of this turn. */
  readonly now: number;
  readonly flow: FlowControl;
  closed(stream: Http2Stream, isReset: boolean): void;
  /** The client is at fault for a reset. */
  countFault(): void;
};
