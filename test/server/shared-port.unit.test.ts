// The messages of a worker about its connections, without a supervisor.
import { EventEmitter } from 'node:events';
import { createServer, Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { ToSupervisor, ToWorker } from '../../src/server/transport/port-messages.ts';
import { listenShared } from '../../src/server/transport/shared-port.ts';

/** A worker that listens. `sent` are its messages since then. */
async function startWorker() {
  const sent: ToSupervisor[] = [];
  const channel = Object.assign(new EventEmitter(), {
    send: ({ latchkeyPort: _, ...message }: ToSupervisor & { latchkeyPort: string }) => sent.push(message) > 0,
  });
  const receive = (message: ToWorker, socket?: Socket) =>
    channel.emit('message', { latchkeyPort: 'PORT', ...message }, socket);
  const options = { name: 'PORT', host: '127.0.0.1', port: 0, retire() {} };
  const listening = listenShared(createServer(), { ...options, channel: channel as unknown as NodeJS.Process });
  receive({ kind: 'listening', port: 4711 });
  await listening;
  sent.length = 0;
  return { sent, accept: (socket: Socket) => receive({ kind: 'connection' }, socket) };
}

/** Connections that have been accepted. */
function accepted({ accept }: Awaited<ReturnType<typeof startWorker>>, count: number): Socket[] {
  const sockets = Array.from({ length: count }, () => new Socket());
  for (const socket of sockets) accept(socket);
  return sockets;
}

test('connections that close together are reported once', async () => {
  const worker = await startWorker();
  const sockets = accepted(worker, 3);
  worker.sent.length = 0;
  for (const socket of sockets) socket.emit('close');
  await nextTurn();
  await nextTurn();
  expect(worker.sent).toEqual([{ kind: 'closed', count: 3 }]);
});

test('the supervisor knows of closed connections before it decides about the next one', async () => {
  const worker = await startWorker();
  const sockets = accepted(worker, 2);
  worker.sent.length = 0;
  for (const socket of sockets) socket.emit('close');
  worker.accept(new Socket());
  await nextTurn();
  await nextTurn();
  expect(worker.sent).toEqual([{ kind: 'closed', count: 2 }, { kind: 'confirmed' }]);
});
