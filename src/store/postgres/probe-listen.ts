// Finds out whether notifications arrive at DATABASE_LISTEN_URL. A pooler in transaction mode accepts LISTEN and delivers
// none.
import { randomBytes } from 'node:crypto';
import { waitAtMost } from '../../async/wait-at-most.ts';
import { clientClass } from './client.ts';
import { hostUrls, withoutSessionAttributes } from './host-urls.ts';

/**
 * @param notify sends a NOTIFY by another connection to the primary
 * @returns null when a notification arrives from one of the hosts, otherwise the reason of the last host
 */
export async function probeListen(
  url: string,
  notify: (channel: string) => Promise<void>,
  timeoutMs: number,
): Promise<Error | null> {
  let reason: Error | null = null;
  for (const host of hostUrls(withoutSessionAttributes(url))) {
    reason = await probeHost(host, notify, timeoutMs);
    if (reason === null) return null;
  }
  return reason;
}

async function probeHost(
  url: string,
  notify: (channel: string) => Promise<void>,
  timeoutMs: number,
): Promise<Error | null> {
  const channel = `latchkey_probe_${randomBytes(8).toString('hex')}`;
  const Client = clientClass(
    () => url,
    () => {},
  );
  const client = new Client({
    application_name: 'latchkey-doctor',
    connectionTimeoutMillis: timeoutMs,
    query_timeout: timeoutMs,
  });
  client.on('error', () => {});
  try {
    await client.connect();
    let hasArrived = false;
    const arrival = new Promise<void>((resolve) =>
      client.on('notification', () => {
        hasArrived = true;
        resolve();
      }),
    );
    await client.query(`LISTEN ${channel}`);
    await notify(channel);
    await waitAtMost(timeoutMs, arrival);
    return hasArrived ? null : new Error('a notification did not arrive');
  } catch (error) {
    return error as Error;
  } finally {
    client.closeAtOnce();
  }
}
