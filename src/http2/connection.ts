// The server's side of an HTTP/2 connection (RFC 9113): its streams, settings, windows and its end.
import type { Duplex } from 'node:stream';
import type { ConnectionOptions } from './connection-options.ts';
import { endSocket } from './end-socket.ts';
import { FloodGuard } from './flood-guard.ts';
import { FlowControl } from './flow-control.ts';
import { type FrameHandler, FrameReader } from './frame-reader.ts';
import { HeaderDecoder } from './hpack/decoder.ts';
import type { Limits } from './limits.ts';
import { Output } from './output.ts';
import { ConnectionError, DEFAULT_WINDOW, ERROR, type ErrorCode, MAX_31_BITS, SETTING } from './protocol.ts';
import { ReadLoop } from './read-loop.ts';
import { readSettings } from './settings.ts';
import { Http2Stream } from './stream.ts';
import { StreamIds } from './stream-ids.ts';
import type { StreamOwner } from './stream-owner.ts';

/** Marks the answer to the PING that follows the first GOAWAY. */
const DRAIN_PING = Buffer.from('draining');
const PROBE_PING = Buffer.from('probing ');

export class Http2Connection<Context = unknown> implements FrameHandler, StreamOwner {
  readonly limits: Limits;
  readonly output: Output;
  readonly flow: FlowControl;
  readonly openedAt = performance.now();
  /** performance.now() of the last event that shows a use: a new stream, or the end of one. */
  usedAt = this.openedAt;
  /** performance.now() of the first PING without an answer. */
  probedAt = Number.POSITIVE_INFINITY;
  /** performance.now() of the first GOAWAY. */
  drainedAt = Number.POSITIVE_INFINITY;
  /** Whether the limits of the settings bind the client. */
  #isSettled = false;
  #hasSettings = false;
  readonly streams = new Map<number, Http2Stream<Context>>();
  readonly #socket: Duplex;
  readonly #options: ConnectionOptions<Context>;
  readonly #loop: ReadLoop;
  readonly #decoder: HeaderDecoder;
  readonly #floods: FloodGuard;
  readonly #ids = new StreamIds();
  /** Whether the connection ends with its last stream. */
  #isLeaving = false;
  #isEnded = false;
  #readsFirst = false;

  constructor(socket: Duplex, options: ConnectionOptions<Context>) {
    const { limits } = options;
    this.#socket = socket;
    this.#options = options;
    this.limits = limits;
    this.output = new Output(socket, () => this.#onDrain());
    const reader = new FrameReader(this, limits, () => this.#loop.mayContinue());
    this.#loop = new ReadLoop(socket, this.output, { reader, limits, guard: (work) => this.#guard(work) });
    this.#decoder = new HeaderDecoder(limits);
    this.#floods = new FloodGuard(limits);
    this.flow = new FlowControl(this.output, limits.connectionWindow);
    socket.on('error', () => {});
    // A client that ends its side has disconnected.
    socket.on('end', () => socket.destroy());
    socket.on('close', () => this.#onClose());
    this.output.settings([
      [SETTING.MAX_CONCURRENT_STREAMS, limits.maxStreams],
      [SETTING.INITIAL_WINDOW_SIZE, limits.streamWindow],
      [SETTING.MAX_HEADER_LIST_SIZE, limits.maxHeaderListBytes],
      [SETTING.NO_RFC7540_PRIORITIES, 1],
    ]);
    this.output.windowUpdate(0, limits.connectionWindow - DEFAULT_WINDOW);
  }

  get now(): number {
    return this.#loop.now;
  }

  /** Ends the connection in two steps, so that it serves streams that the client has already sent (section 6.8). */
  drain(): void {
    if (this.drainedAt < Number.POSITIVE_INFINITY || this.#isEnded) return;
    this.drainedAt = performance.now();
    this.output.goAway(MAX_31_BITS, ERROR.NO_ERROR, '');
    // A client that answers it has received the GOAWAY before it.
    this.output.ping(DRAIN_PING, false);
  }

  /** The second step. */
  rejectFurtherStreams(): void {
    if (this.#ids.isFinal || this.#isEnded) return;
    this.#ids.isFinal = true;
    this.#isLeaving = true;
    this.output.goAway(this.#ids.last, ERROR.NO_ERROR, '');
    this.#endIfFinished();
  }

  /** The time for the client's preface is over. By now the client has also received the settings. */
  endHandshake(): void {
    if (!this.#hasSettings) this.fail(ERROR.SETTINGS_TIMEOUT, 'no settings have arrived');
    this.#isSettled = true;
  }

  probe(): void {
    this.probedAt = Math.min(this.probedAt, performance.now());
    this.output.ping(PROBE_PING, false);
  }

  /** Ends the connection and all its streams at once. */
  fail(code: ErrorCode, reason: string): void {
    if (this.#isEnded) return;
    this.output.goAway(this.#ids.last, code, reason);
    this.#end(this.limits.lingerMs);
    this.#closeStreams();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Calls the deadlines that have passed. */
  checkStreams(now: number): void {
    this.#guard(() => {
      for (const stream of this.streams.values()) if (now >= stream.deadline) stream.onDeadline();
    });
  }

  onHeaders(streamId: number, bytes: Buffer, start: number, end: number, isEnd: boolean, dependsOn: number) {
    const headers = this.#decoder.decode(bytes, start, end);
    const known = this.streams.get(streamId);
    if (known) return known.onTrailers(headers, isEnd);
    if ((streamId & 1) === 0) throw new ConnectionError(ERROR.PROTOCOL_ERROR, 'a client opens odd streams only');
    if (streamId <= this.#ids.last) return this.#ids.onClosedStream(streamId);
    if (this.#ids.isFinal) return;
    this.#ids.open(streamId);
    this.#loop.countStream();
    this.usedAt = this.now;
    const max = this.#isSettled ? this.limits.maxStreams : this.limits.maxStreamsUnannounced;
    const isMalformed = !headers.isRequest || dependsOn === streamId || (isEnd && headers.contentLength > 0);
    if (isMalformed) return this.#rejectStream(streamId, ERROR.PROTOCOL_ERROR);
    if (this.streams.size >= max) return this.#rejectStream(streamId, ERROR.REFUSED_STREAM);
    const { context } = this.#options;
    const stream = new Http2Stream(
      this,
      { id: streamId, headers, context, sendWindow: this.flow.initialSendWindow },
      isEnd,
    );
    this.streams.set(streamId, stream);
    this.#options.onStream(stream);
  }

  onData(streamId: number, bytes: Buffer, start: number, end: number, flowLength: number, isEnd: boolean) {
    this.flow.receive(flowLength);
    if (start === end && !isEnd) this.#countControlFrame();
    const stream = this.streams.get(streamId);
    if (stream) return stream.onData(bytes, start, end, flowLength, isEnd);
    this.#ids.assertNotIdle(streamId);
    this.flow.credit(flowLength);
    if (streamId <= this.#ids.last && !this.#ids.wasReset(streamId)) this.#rejectStream(streamId, ERROR.STREAM_CLOSED);
  }

  onReset(streamId: number): void {
    const stream = this.streams.get(streamId);
    if (stream) {
      // After the response, a reset only saves the rest of the request.
      if (!stream.isResponseSent) this.countFault();
      stream.onReset();
    } else {
      this.#ids.assertNotIdle(streamId);
      this.#countControlFrame();
    }
  }

  onWindowUpdate(streamId: number, increment: number) {
    this.#countControlFrame();
    if (streamId === 0) return this.flow.addSendWindow(increment);
    const stream = this.streams.get(streamId);
    if (!stream) return this.#ids.assertNotIdle(streamId);
    const isAllowed = stream.addSendWindow(increment);
    if (increment > 0 && isAllowed) return stream.isBlocked ? stream.pump() : undefined;
    this.countFault();
    stream.reset(increment === 0 ? ERROR.PROTOCOL_ERROR : ERROR.FLOW_CONTROL_ERROR);
  }

  onPriority(streamId: number, fault: ErrorCode | null): void {
    this.#countControlFrame();
    if (fault === null) return;
    // Section 6.4: no RST_STREAM may be sent on an idle stream.
    if (this.#ids.isIdle(streamId)) throw new ConnectionError(fault, 'a PRIORITY of an idle stream is invalid');
    const stream = this.streams.get(streamId);
    if (stream) {
      this.countFault();
      stream.reset(fault);
    } else if (!this.#ids.wasReset(streamId)) this.#rejectStream(streamId, fault);
  }

  onSettings(bytes: Buffer, start: number, end: number): void {
    this.#countControlFrame();
    this.#hasSettings = true;
    const { initialWindow, hasTableSize } = readSettings(bytes, start, end);
    if (initialWindow !== null) this.flow.setInitialSendWindow(initialWindow, this.streams.values());
    this.output.settingsAck();
    if (hasTableSize) this.output.isTableUpdateDue = true;
  }

  onSettingsAck(): void {
    this.#countControlFrame();
    this.#isSettled = true;
  }

  onPing(payload: Buffer, isAck: boolean) {
    this.#countControlFrame();
    if (!isAck) return this.output.ping(payload, true);
    this.probedAt = Number.POSITIVE_INFINITY;
    if (this.drainedAt < Number.POSITIVE_INFINITY && DRAIN_PING.equals(payload)) this.rejectFurtherStreams();
  }

  /** The client is about to leave. */
  onGoAway(): void {
    this.#countControlFrame();
    this.#isLeaving = true;
    this.#endIfFinished();
  }

  onOtherFrame(): void {
    this.#countControlFrame();
  }

  closed(stream: Http2Stream, isReset: boolean): void {
    this.streams.delete(stream.id);
    this.flow.forget(stream);
    if (stream.isResponseSent) this.#floods.onResponse();
    if (isReset) this.#ids.rememberReset(stream.id);
    if (this.#isLeaving) this.#endIfFinished();
  }

  countFault(): void {
    this.#floods.countFault(this.now);
  }

  /** Reading and sending are first in turns, because each can fill the socket again. */
  #onDrain(): void {
    this.#readsFirst = !this.#readsFirst;
    if (this.#readsFirst) this.#loop.onDrain();
    this.#guard(() => this.flow.resume());
    if (!this.#readsFirst) this.#loop.onDrain();
  }

  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof ConnectionError)) this.#options.onDefect(error);
      if (error instanceof ConnectionError) this.fail(error.code, error.message);
      else this.fail(ERROR.INTERNAL_ERROR, '');
    }
  }

  #countControlFrame(): void {
    this.#floods.countControlFrame(this.now);
  }

  #rejectStream(streamId: number, code: ErrorCode): void {
    this.countFault();
    this.output.reset(streamId, code);
    this.#ids.rememberReset(streamId);
  }

  #endIfFinished(): void {
    if (this.streams.size > 0 || this.#isEnded) return;
    // Section 6.8: the client may have sent requests after its own GOAWAY.
    if (!this.#ids.isFinal) this.output.goAway(this.#ids.last, ERROR.NO_ERROR, '');
    this.#end(this.limits.maxBlockedMs);
  }

  /** @param sendMs time for the client to take the last bytes */
  #end(sendMs: number): void {
    this.#isEnded = true;
    this.output.flush();
    // The client may still send. Unread bytes would make the system reset the connection, and the GOAWAY be lost.
    this.#loop.stop();
    endSocket(this.#socket, sendMs, this.limits.lingerMs);
  }

  #onClose(): void {
    this.#isEnded = true;
    this.#loop.stop();
    this.#closeStreams();
    this.#options.onClosed();
  }

  /** A defect of one must not keep the others open. */
  #closeStreams(): void {
    for (const stream of [...this.streams.values()]) {
      try {
        stream.onReset();
      } catch (error) {
        this.#options.onDefect(error);
      }
    }
  }
}
