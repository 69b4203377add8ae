// Hostile clients of the engine, for a time. Beside each one, a well-behaved client of the same server gets its answers.
import { randomInt } from 'node:crypto';
import v8 from 'node:v8';
import vm from 'node:vm';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HeaderBlock } from '../../../src/http2/hpack/header-block.ts';
import { ERROR } from '../../../src/http2/protocol.ts';
import { parseFrames } from '../../support/frames.ts';
import { whole } from '../client-frames.ts';
import type { Session } from '../differential/session.ts';
import { type Client, Engine, type Exchange, OK } from '../engine.ts';
import { FUZZ_SECONDS, FUZZ_SEED } from '../runs.ts';
import { hostileSession } from './hostile-session.ts';
import { outputProblem } from './output-problem.ts';

/** Sessions from one seed. */
const BATCH = 100;
const LARGE = Buffer.alloc(100_000);
const TRAILERS = new HeaderBlock(null, ['a', 'b']);
const HEAP_GROWTH_BYTES = 16 * 2 ** 20;
/** The well-behaved client leaves after as many requests. */
const REQUESTS = 1_000;

/** The ways in which an application serves a request. */
const APPLICATIONS: readonly ((exchange: Exchange) => void)[] = [
  (exchange) => exchange.stream.receive(exchange),
  (exchange) => {
    exchange.onEvent = (event) => event === 'end' && exchange.answer();
    exchange.stream.receive(exchange);
  },
  (exchange) => {
    exchange.stream.receive(exchange);
    exchange.answer();
  },
  (exchange) => {
    exchange.stream.receive(exchange, true);
    exchange.stream.respond(OK);
    exchange.stream.end(LARGE, TRAILERS);
  },
  (exchange) => {
    exchange.onEvent = (event) => event === 'drain' && exchange.stream.write(LARGE);
    exchange.stream.receive(exchange);
    exchange.stream.respond(OK);
    exchange.stream.write(LARGE);
  },
  (exchange) => {
    exchange.onEvent = (event) => {
      if (!event.startsWith('data')) return;
      exchange.stream.pause();
      setImmediate(() => exchange.stream.resume());
    };
    exchange.stream.receive(exchange);
  },
  (exchange) => {
    exchange.stream.receive(exchange);
    exchange.stream.reset(ERROR.CANCEL);
  },
];

/** Another try would have another seed. */
const OPTIONS = { retry: 0, timeout: 1_000 * (FUZZ_SECONDS + 60) };

test(`${FUZZ_SECONDS} seconds of hostile sessions`, OPTIONS, async () => {
  const firstSeed = FUZZ_SEED ?? randomInt(2 ** 31);
  const end = performance.now() + 1_000 * FUZZ_SECONDS;
  const arena = new Arena();
  let heap: number | null = null;
  for (let batch = 0; performance.now() < end; batch += 1) {
    const seed = firstSeed + batch;
    for (const [n, session] of fc.sample(hostileSession, { numRuns: BATCH, seed }).entries()) {
      const problem = await arena.problemOf(session, n);
      if (problem) throw new Error(`${problem}\nseed ${seed}, number ${n}: ${session}`);
    }
    // By now the code is compiled, and the caches are full.
    if (performance.now() > end - 500 * FUZZ_SECONDS) heap ??= heapBytes();
  }
  expect(heapBytes() - (heap ?? 0)).toBeLessThan(HEAP_GROWTH_BYTES);
});

class Arena {
  #engine!: Engine;
  #neighbour!: Client;
  #requests = REQUESTS;

  /** @param n decides about the application, and about whether the client reads */
  async problemOf(session: Session, n: number): Promise<string | null> {
    if (this.#requests === REQUESTS) await this.#restart();
    const { server, exchanges, defects } = this.#engine;
    const isRead = n % 4 > 0;
    const hostile = this.#engine.open(isRead ? {} : { highWaterMark: 100 });
    hostile.socket.setRead(isRead);
    let application = n;
    this.#onRequest = (exchange) => APPLICATIONS[application++ % APPLICATIONS.length]?.(exchange);
    for (const write of session.writes) await hostile.send(write);
    hostile.socket.setRead(true);
    await hostile.settle();
    const output = Buffer.concat(hostile.socket.writes);
    const sent = parseFrames(output);
    const length = sent.reduce((sum, { payload }) => sum + 9 + payload.length, 0);
    if (length !== output.length) return 'the output ends within a frame';
    const answer = await this.#ask();
    if (answer !== NEIGHBOUR_ANSWER) return `the other client receives ${answer}`;
    hostile.socket.destroy();
    await hostile.settle();
    if (defects.length > 0) return `a defect: ${defects.map((each) => (each as Error).stack)}`;
    if (server.connections() !== 1) return 'the connection is left';
    const events = exchanges.splice(0).map((exchange) => exchange.events.join(' '));
    const wrong = events.find((each) => !EVENTS.test(each));
    return wrong === undefined ? outputProblem(sent, session.frames) : `the events of a request: ${wrong}`;
  }

  #onRequest: (exchange: Exchange) => void = () => {};

  async #restart(): Promise<void> {
    this.#neighbour?.socket.destroy();
    this.#engine = new Engine({ onRequest: (exchange) => this.#onRequest(exchange) });
    this.#neighbour = await this.#engine.connect();
    this.#requests = 0;
  }

  async #ask(): Promise<string> {
    this.#onRequest = (exchange) => exchange.answer();
    const words = await this.#neighbour.exchange(whole(2 * this.#requests + 1));
    this.#requests += 1;
    this.#engine.exchanges.pop();
    return words.map((word) => word.replace(/ \d+/, '')).join(', ');
  }
}

const NEIGHBOUR_ANSWER = 'HEADERS 200, DATA "ok" END';
/** The events of a stream that a client has left: nothing but room for the response follows the end, and the close is last. */
const EVENTS = /^((data [1-9]\d*|drain) )*(end )?(drain )*close$/;

function heapBytes(): number {
  v8.setFlagsFromString('--expose-gc');
  (vm.runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}
