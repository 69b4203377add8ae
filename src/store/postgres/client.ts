// The folder store/postgres owns connections to Postgres, migrations, privileges and the checks for the primary. It
// must not know the meaning of a table. This connection closes itself once it may no longer lead to a working primary.
import pg from 'pg';
import { hostUrls, withoutSessionAttributes } from './host-urls.ts';
import { createStatementNames } from './prepared.ts';

/**
 * SQLSTATEs of a server that is no longer the primary, or is shutting down: read_only_sql_transaction,
 * object_not_in_prerequisite_state (recovery in progress), admin_shutdown, crash_shutdown, cannot_connect_now.
 */
const LOST_PRIMARY = new Set(['25006', '55000', '57P01', '57P02', '57P03']);
/** The message of pg for query_timeout. */
const QUERY_TIMEOUT_MESSAGE = 'Query read timeout';

/**
 * @param nextUrl returns the URL for each new connection
 * @param onDistrust is called when an error, or a silence longer than the server's own timeout, means that the server
 *   may be gone
 */
export function clientClass(nextUrl: () => string, onDistrust: () => void) {
  const names = createStatementNames();
  return class extends pg.Client {
    constructor(settings: pg.ClientConfig = {}) {
      super({ ...settings, connectionString: nextUrl() });
    }

    /** Closes the socket without a message to the server, which may be unreachable. */
    closeAtOnce(): void {
      this.connection.stream.destroy();
    }

    // biome-ignore lint/suspicious/noExplicitAny: pg declares a dozen overloads, and all of them pass through
    override query(...args: any[]): any {
      const [text, values] = args;
      const name = typeof text === 'string' ? names.of(text) : null;
      // biome-ignore lint/suspicious/noExplicitAny: as above
      const result = name ? this.queryByName(name, text, values) : (super.query as any)(...args);
      if (result instanceof Promise) {
        result.catch((error: Error) => {
          if (!meansLostPrimary(error)) return;
          onDistrust();
          this.closeAtOnce();
        });
      }
      return result;
    }

    private async queryByName(name: string, text: string, values: unknown[]): Promise<pg.QueryResult> {
      try {
        return await super.query({ name, text, values });
      } catch (error) {
        if (!names.failed(error)) throw error;
        return super.query(text, values);
      }
    }
  };
}

export type PrimaryClient = InstanceType<ReturnType<typeof clientClass>>;

function meansLostPrimary(error: Error): boolean {
  return error instanceof pg.DatabaseError
    ? LOST_PRIMARY.has(error.code ?? '')
    : error.message === QUERY_TIMEOUT_MESSAGE;
}

export type Hosts = {
  count: number;
  url(): string;
  failed(url: string): void;
};

export function createHosts(url: string): Hosts {
  const urls = hostUrls(withoutSessionAttributes(url));
  let place = 0;
  const current = () => urls[place] as string;
  return {
    count: urls.length,
    url: current,
    failed(failedUrl) {
      if (failedUrl === current()) place = (place + 1) % urls.length;
    },
  };
}
