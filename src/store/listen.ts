// Hears the NOTIFY of a change. Needs a connection to Postgres itself: a pooler in transaction mode does not pass it on.
import pg from 'pg';

export type Listening = { close(): Promise<void> };

const CHANNEL = 'latchkey_changes';
const CONNECT_TIMEOUT_MS = 5_000;
const RECONNECT_MS = 1_000;

/**
 * Calls `onChange` for each notification, and whenever it has connected, because one may have been missed. Reconnects for
 * ever; that nothing is heard meanwhile is for the caller's own polling to make good.
 */
export function listenForChanges(url: string, onChange: () => void, onError: (error: Error) => void): Listening {
  let closed = false;
  let client: pg.Client | null = null;
  let timer: NodeJS.Timeout | undefined;

  function connect(): void {
    const connecting = new pg.Client({
      connectionString: url,
      application_name: 'latchkey-listen',
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      keepAlive: true,
    });
    client = connecting;
    const lost = (error: Error) => {
      if (closed || client !== connecting) return;
      client = null;
      onError(error);
      connecting.end().catch(() => {});
      timer = setTimeout(connect, RECONNECT_MS);
    };
    connecting.on('error', lost);
    connecting.on('end', () => lost(new Error('Connection terminated')));
    connecting.on('notification', onChange);
    connecting
      .connect()
      .then(() => connecting.query(`LISTEN ${CHANNEL}`))
      .then(onChange, lost);
  }

  connect();
  return {
    async close() {
      closed = true;
      clearTimeout(timer);
      await client?.end();
    },
  };
}
