// The ports that the workers of `serve --workers` share, in their supervisor. It accepts each connection and sends it to
// a worker, without reading from it.
import type { Worker } from 'node:cluster';
import { createServer, type Socket } from 'node:net';
import { createConnectionSpread } from './connection-spread.ts';
import { type ListenAddress, type Listening, listenOnAll } from './listen-on-all.ts';
import { isOfPort, type SystemError, type ToSupervisor, type ToWorker } from './port-messages.ts';

export type SharedPorts = {
  /** @param onListening receives each port on which the worker accepts connections now */
  add(worker: Worker, onListening: (name: string, port: number) => void): void;
  /** The worker has ended. */
  remove(worker: Worker): void;
};

type SharedPort = {
  listen(worker: Worker, address: ListenAddress): Promise<number | null>;
  receive(worker: Worker, message: ToSupervisor): void;
  remove(worker: Worker): void;
};

/** A worker starts, and clients connect again, in less time. */
const RETIRE_EVERY_MS = 5_000;

/** @param onProblem receives the error of each connection that could not be accepted */
export function createSharedPorts(onProblem: (error: Error) => void): SharedPorts {
  const ports = new Map<string, SharedPort>();

  function portOf(name: string): SharedPort {
    const found = ports.get(name) ?? createSharedPort(name, onProblem);
    ports.set(name, found);
    return found;
  }

  return {
    add(worker, onListening) {
      worker.on('message', async (message: unknown) => {
        if (!isOfPort<ToSupervisor>(message)) return;
        const name = message.latchkeyPort;
        if (message.kind !== 'listen') return portOf(name).receive(worker, message);
        const port = await portOf(name).listen(worker, message);
        if (port !== null) onListening(name, port);
      });
    },
    remove(worker) {
      for (const port of ports.values()) port.remove(worker);
    },
  };
}

function createSharedPort(name: string, onProblem: (error: Error) => void): SharedPort {
  /** Workers that listen, or wait for that. */
  const users = new Set<Worker>();
  let listening: Promise<Listening> | null = null;
  let retiring: NodeJS.Timeout | undefined;
  /** Also for a worker that starts when no other is left. */
  let chosenPort = 0;

  const send = (worker: Worker, message: ToWorker, socket?: Socket) => {
    // A worker that has ended is removed soon, and then another one receives the connection.
    worker.send({ latchkeyPort: name, ...message }, socket, { keepOpen: true }, () => {});
  };
  const spread = createConnectionSpread<Worker, Socket>({
    send: (worker, socket) => send(worker, { kind: 'connection' }, socket),
    ping: (worker) => send(worker, { kind: 'ping' }),
    // Closes the copy of this process.
    release: (socket) => socket.destroy(),
    left: (worker) => send(worker, { kind: 'stopped' }),
  });

  async function open(address: ListenAddress): Promise<Listening> {
    const opened = await listenOnAll(address, () => createServer({ pauseOnConnect: true }, spread.give));
    for (const server of opened.servers) server.on('error', onProblem);
    chosenPort = opened.port;
    retiring = setInterval(() => {
      for (const [worker, count] of spread.retirements()) send(worker, { kind: 'retire', count });
    }, RETIRE_EVERY_MS).unref();
    return opened;
  }

  function release(worker: Worker): void {
    if (!users.delete(worker) || users.size > 0) return;
    clearInterval(retiring);
    listening?.then(
      (opened) => void opened.close(),
      () => {},
    );
    listening = null;
  }

  return {
    async listen(worker, { host, port }) {
      users.add(worker);
      listening ??= open({ host, port: chosenPort || port });
      try {
        const opened = await listening;
        if (!users.has(worker)) return null;
        send(worker, { kind: 'listening', port: opened.port });
        spread.join(worker);
        return opened.port;
      } catch (error) {
        send(worker, { kind: 'failed', error: systemError(error) });
        release(worker);
        return null;
      }
    },
    receive(worker, message) {
      if (message.kind === 'confirmed') spread.confirmed(worker);
      else if (message.kind === 'closed') spread.closed(worker, message.count);
      else if (message.kind === 'pong') spread.replied(worker);
      else if (message.kind === 'stop') {
        release(worker);
        spread.leave(worker);
      }
    },
    remove(worker) {
      spread.remove(worker);
      release(worker);
    },
  };
}

function systemError(error: unknown): SystemError {
  const { message, code, port } = error as Error & { code?: unknown; port?: unknown };
  return { message, code: String(code), port: typeof port === 'number' ? port : null };
}
