// A port that the workers of `serve --workers` share, in a worker. Its supervisor accepts the connections
// (shared-ports.ts) and sends some of them.
import type { Server, Socket } from 'node:net';
import { isOfPort, type SystemError, type ToSupervisor, type ToWorker } from './port-messages.ts';

export type SharedPort = { port: number; close(): Promise<void> };

export type SharedPortOptions = {
  name: string;
  host: string;
  port: number;
  retire(count: number): void;
  /** To the supervisor. */
  channel?: Channel;
};

type Channel = Pick<NodeJS.Process, 'on' | 'off' | 'send'>;

/**
 * Emits each connection at the server, which does not listen itself.
 * @throws the error of the system, when the supervisor cannot listen
 */
export async function listenShared(
  server: Server,
  { name, host, port, retire, channel = process }: SharedPortOptions,
): Promise<SharedPort> {
  const sockets = new Set<Socket>();
  const listening = Promise.withResolvers<number>();
  const stopped = Promise.withResolvers<void>();
  let unreported = 0;

  const send = (message: ToSupervisor) => {
    // The channel closes when the supervisor has ended. This process then ends too.
    channel.send?.({ latchkeyPort: name, ...message }, undefined, undefined, () => {});
  };

  function noteClosed(): void {
    // Connections that close together share a message.
    if (unreported === 0) setImmediate(reportClosed);
    unreported += 1;
  }

  function reportClosed(): void {
    if (unreported > 0) send({ kind: 'closed', count: unreported });
    unreported = 0;
  }

  function accept(socket: Socket | undefined): void {
    // The supervisor decides about the next connection at the confirmation.
    reportClosed();
    // Before anything is read: without the confirmation another worker receives the connection when this one ends.
    send({ kind: 'confirmed' });
    if (!socket) {
      noteClosed();
      return;
    }
    socket.once('close', () => {
      sockets.delete(socket);
      noteClosed();
    });
    if (sockets.size >= (server.maxConnections ?? Number.POSITIVE_INFINITY)) {
      socket.destroy();
      return;
    }
    sockets.add(socket);
    // As node:http does it.
    socket.allowHalfOpen = true;
    socket.setNoDelay(true);
    server.emit('connection', socket);
  }

  const onMessage = (message: unknown, socket: unknown) => {
    if (!isOfPort<ToWorker>(message) || message.latchkeyPort !== name) return;
    if (message.kind === 'connection') accept(socket as Socket | undefined);
    else if (message.kind === 'ping') send({ kind: 'pong' });
    else if (message.kind === 'retire') retire(message.count);
    else if (message.kind === 'stopped') stopped.resolve();
    else if (message.kind === 'listening') listening.resolve(message.port);
    else listening.reject(toError(message.error));
  };
  channel.on('message', onMessage);
  send({ kind: 'listen', host, port });

  const closeOf = (socket: Socket) => new Promise<void>((resolve) => socket.once('close', () => resolve()));
  try {
    const found = await listening.promise;
    // node:http begins to enforce its time limits.
    server.emit('listening');
    return {
      port: found,
      async close() {
        send({ kind: 'stop' });
        await stopped.promise;
        await Promise.all(Array.from(sockets, closeOf));
        channel.off('message', onMessage);
      },
    };
  } catch (error) {
    channel.off('message', onMessage);
    throw error;
  }
}

function toError({ message, code, port }: SystemError): Error {
  return Object.assign(new Error(message), { code, ...(port !== null && { port }) });
}
