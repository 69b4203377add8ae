import { once } from 'node:events';

export type InspectedMemory = {
  /** Bytes of the heap and of buffers after a full collection, so that garbage does not count. */
  liveBytes(): Promise<number>;
  close(): void;
};

/** Reads the memory of another process of Node. @param port of its inspector (`--inspect`) */
export async function inspectMemory(port: number): Promise<InspectedMemory> {
  const targets = await fetch(`http://127.0.0.1:${port}/json`);
  const [target] = (await targets.json()) as [{ webSocketDebuggerUrl: string }];
  const socket = new WebSocket(target.webSocketDebuggerUrl);
  await once(socket, 'open');
  const waiting = new Map<number, (result: { result?: { value?: number } }) => void>();
  let lastId = 0;
  socket.addEventListener('message', ({ data }) => {
    const { id, result } = JSON.parse(String(data));
    waiting.get(id)?.(result);
    waiting.delete(id);
  });
  const send = (method: string, params = {}) =>
    new Promise<{ result?: { value?: number } }>((resolve) => {
      lastId += 1;
      waiting.set(lastId, resolve);
      socket.send(JSON.stringify({ id: lastId, method, params }));
    });
  return {
    async liveBytes() {
      // The second collection frees what the finalizers of the first have released.
      await send('HeapProfiler.collectGarbage');
      await send('HeapProfiler.collectGarbage');
      const expression = '(({ heapUsed, external }) => heapUsed + external)(process.memoryUsage())';
      const { result } = await send('Runtime.evaluate', { expression });
      return result?.value ?? Number.NaN;
    },
    close: () => socket.close(),
  };
}
