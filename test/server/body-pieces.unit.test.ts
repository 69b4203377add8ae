import { describe, expect, test } from 'vitest';
import { BodyPieces } from '../../src/server/transport/body-pieces.ts';
import { DISCONNECTED } from '../../src/server/transport/disconnected.ts';
import type { BodyReader } from '../../src/server/transport/server-request.ts';

/** A request that delivers the next of its pieces whenever it is not paused, and then its end. */
class Request {
  isClosed = false;
  isPaused = true;
  reader: BodyReader | null = null;
  readonly #pieces: string[];
  readonly #hasEnd: boolean;
  #onClose = () => {};

  constructor(pieces: string[], hasEnd = true) {
    this.#pieces = pieces;
    this.#hasEnd = hasEnd;
  }

  onceClosed(listener: () => void): void {
    if (this.isClosed) listener();
    else this.#onClose = listener;
  }

  read(reader: BodyReader): void {
    this.reader = reader;
    this.resume();
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
    while (!this.isPaused) {
      const piece = this.#pieces.shift();
      if (piece === undefined) break;
      const buffer = Buffer.from(piece);
      this.reader?.onData(buffer);
      // The read buffer is used again.
      buffer.fill('-');
    }
    if (!this.isPaused && this.#hasEnd) this.reader?.onEnd();
  }

  close(): void {
    this.isClosed = true;
    this.#onClose();
  }
}

async function textsOf(pieces: BodyPieces): Promise<string[]> {
  const texts: string[] = [];
  for await (const piece of pieces) texts.push(piece.toString());
  return texts;
}

const END = { value: undefined, done: true };

describe('the pieces of a body', () => {
  test('arrive in their order, copied, and then end', async () => {
    const pieces = new BodyPieces(new Request(['a', 'b', 'c']));
    expect(await textsOf(pieces)).toEqual(['a', 'b', 'c']);
    expect(await pieces.next()).toEqual(END);
  });

  test('are none for an empty body', async () => {
    expect(await textsOf(new BodyPieces(new Request([])))).toEqual([]);
  });

  test('are read only after the first call of next, and one at a time', async () => {
    const request = new Request(['a', 'b']);
    const pieces = new BodyPieces(request);
    expect(request.reader).toBeNull();
    expect((await pieces.next()).value?.toString()).toBe('a');
    expect(request.isPaused).toBe(true);
  });

  test('that the connection delivers in spite of the pause are kept', async () => {
    const request = new Request(['a'], false);
    const pieces = new BodyPieces(request);
    await pieces.next();
    for (const text of ['b', 'c']) request.reader?.onData(Buffer.from(text));
    request.reader?.onEnd();
    expect(await textsOf(pieces)).toEqual(['b', 'c']);
  });

  test('that arrive while the caller waits are returned at once', async () => {
    const request = new Request([], false);
    const pieces = new BodyPieces(request);
    const first = pieces.next();
    request.reader?.onData(Buffer.from('a'));
    expect((await first).value?.toString()).toBe('a');
    const second = pieces.next();
    request.reader?.onEnd();
    expect(await second).toEqual(END);
  });
});

describe('a client that disconnects', () => {
  test('before the first call makes it fail', async () => {
    const request = new Request([], false);
    request.close();
    await expect(new BodyPieces(request).next()).rejects.toBe(DISCONNECTED);
  });

  test('while the caller waits makes that call and the next one fail', async () => {
    const request = new Request([], false);
    const pieces = new BodyPieces(request);
    const waiting = pieces.next();
    request.close();
    await expect(waiting).rejects.toBe(DISCONNECTED);
    await expect(pieces.next()).rejects.toBe(DISCONNECTED);
  });

  test('after some pieces makes the call after them fail', async () => {
    const request = new Request(['a'], false);
    const pieces = new BodyPieces(request);
    await pieces.next();
    request.reader?.onData(Buffer.from('b'));
    request.close();
    expect((await pieces.next()).value?.toString()).toBe('b');
    await expect(pieces.next()).rejects.toBe(DISCONNECTED);
  });

  test('after the end changes nothing', async () => {
    const request = new Request(['a']);
    const pieces = new BodyPieces(request);
    await pieces.next();
    const end = pieces.next();
    request.close();
    expect(await end).toEqual(END);
    expect(await pieces.next()).toEqual(END);
  });
});

describe('a caller that stops', () => {
  test('pauses the request and receives nothing further of it', async () => {
    const request = new Request(['a', 'b', 'c']);
    const pieces = new BodyPieces(request);
    for await (const piece of pieces) {
      expect(piece.toString()).toBe('a');
      request.reader?.onData(Buffer.from('late'));
      break;
    }
    expect(request.isPaused).toBe(true);
    expect(await pieces.next()).toEqual(END);
  });

  test('also before the first call', async () => {
    const request = new Request(['a']);
    const pieces = new BodyPieces(request);
    expect(await pieces.return()).toEqual(END);
    expect(await pieces.next()).toEqual(END);
  });

  test('while a call waits ends that call', async () => {
    const pieces = new BodyPieces(new Request([], false));
    const waiting = pieces.next();
    await pieces.return();
    expect(await waiting).toEqual(END);
  });
});
