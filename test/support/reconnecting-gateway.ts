import { setTimeout as sleep } from 'node:timers/promises';
import * as grpc from '@grpc/grpc-js';

/** Clients of grpc-js with a connection each, which call all the time and connect again at once. */
export function startGateway(port: number, connections: number) {
  const gateway = { answered: 0, lost: [] as string[], stop };
  const options = {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 100,
  };
  const clients = Array.from(
    { length: connections },
    () => new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), options),
  );
  let running = true;
  const verify = (client: grpc.Client) =>
    new Promise<void>((resolve) => {
      const body = Buffer.from([10, 1, 120]);
      const pass = (bytes: Buffer) => bytes;
      client.makeUnaryRequest('/latchkey.auth.v1.AuthService/Verify', pass, pass, body, (error) => {
        if (error?.code === grpc.status.UNAUTHENTICATED) gateway.answered += 1;
        else gateway.lost.push(String(error));
        resolve();
      });
    });
  const loops = clients.map(async (client) => {
    while (running) {
      await verify(client);
      await sleep(5);
    }
  });
  async function stop(): Promise<void> {
    running = false;
    await Promise.all(loops);
    for (const client of clients) client.close();
  }
  return gateway;
}
