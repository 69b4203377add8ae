// Requires a direct connection to Postgres: a pooler in transaction mode does not deliver notifications.
import { randomBytes } from 'node:crypto';
import { pause } from '../../async/pause.ts';
import { clientClass, createHosts, type PrimaryClient } from './client.ts';
import type { PrimaryGuard } from './primary-guard.ts';

export type Listening = { close(): Promise<void> };

export type ListenOptions = {
  url: string;
  guard: PrimaryGuard;
  /** Sends a NOTIFY on this channel by another connection to the primary. */
  notify: (channel: string) => Promise<void>;
  onNotification: () => void;
  onError: (error: Error) => void;
  heartbeatMs?: number;
};

const CHANNEL = 'latchkey_changes';
const CONNECT_TIMEOUT_MS = 5_000;
const RECONNECT_MS = 1_000;
/** A connection that receives nothing is closed after at most twice this time. */
const HEARTBEAT_MS = 3_000;

/** Calls `onNotification` after each connect too, because one may have been missed. The caller must also poll. */
export function listenForNotifications(options: ListenOptions): Listening {
  const { guard, notify, onNotification, onError, heartbeatMs = HEARTBEAT_MS } = options;
  const hosts = createHosts(options.url);
  const Client = clientClass(hosts.url, guard.distrust);
  const ownChannel = `latchkey_heartbeat_${randomBytes(8).toString('hex')}`;
  const closing = new AbortController();
  let client: PrimaryClient | undefined;

  async function connect(url: string): Promise<PrimaryClient> {
    const connecting = new Client({
      connectionString: url,
      application_name: 'latchkey-listen',
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: CONNECT_TIMEOUT_MS,
      keepAlive: true,
    });
    connecting.on('error', () => {});
    client = connecting;
    await connecting.connect();
    await guard.check(connecting);
    await connecting.query(`LISTEN ${CHANNEL}`);
    await connecting.query(`LISTEN ${ownChannel}`);
    return connecting;
  }

  async function follow(connection: PrimaryClient): Promise<Error> {
    const lost = Promise.withResolvers<Error>();
    connection.on('error', lost.resolve);
    connection.on('end', () => lost.resolve(new Error('Connection terminated')));
    let isBeating = true;
    connection.on('notification', ({ channel }) => {
      if (channel === CHANNEL) onNotification();
      else isBeating = true;
    });
    onNotification();
    const ended = new AbortController();
    void (async () => {
      while (!ended.signal.aborted) {
        isBeating = false;
        // A failure of the sending connection has no meaning for this one.
        const isSent = await notify(ownChannel).then(
          () => true,
          () => false,
        );
        await pause(heartbeatMs, ended.signal);
        if (isSent && !isBeating) lost.resolve(new Error('a heartbeat NOTIFY did not arrive'));
      }
    })();
    return lost.promise.finally(() => ended.abort());
  }

  const ended = (async () => {
    while (!closing.signal.aborted) {
      const url = hosts.url();
      const reason = await connect(url).then(follow, (error: Error) => {
        hosts.failed(url);
        return error;
      });
      client?.closeAtOnce();
      if (closing.signal.aborted) return;
      onError(reason);
      await pause(RECONNECT_MS, closing.signal);
    }
  })();

  return {
    async close() {
      closing.abort();
      client?.closeAtOnce();
      await ended;
    },
  };
}
