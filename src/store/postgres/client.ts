// A connection that ends itself once it cannot be trusted to lead to a working primary.
import pg from 'pg';
import { hostUrls, withoutSessionAttributes } from './host-urls.ts';

/**
 * The server is not the primary any longer, or is about to end: read_only_sql_transaction, object_not_in_prerequisite_state
 * (recovery in progress), admin_shutdown, crash_shutdown, cannot_connect_now.
 */
const LOST_PRIMARY = new Set(['25006', '55000', '57P01', '57P02', '57P03']);
/** As pg throws it for query_timeout. */
const QUERY_TIMEOUT_MESSAGE = 'Query read timeout';

/**
 * @param nextUrl is asked for each new connection
 * @param onDistrust is called when an answer, or a silence past even the server's own time-out, says that the server is gone
 */
export function clientClass(nextUrl: () => string, onDistrust: () => void) {
  return class extends pg.Client {
    constructor(settings: pg.ClientConfig = {}) {
      super({ ...settings, connectionString: nextUrl() });
    }

    /** Without a word to the server, which may not be there. */
    closeAtOnce(): void {
      this.connection.stream.destroy();
    }

    // biome-ignore lint/suspicious/noExplicitAny: pg declares a dozen overloads; all of them pass through
    override query(...args: any[]): any {
      // biome-ignore lint/suspicious/noExplicitAny: as above
      const result = (super.query as any)(...args);
      if (result instanceof Promise) {
        result.catch((error: Error) => {
          if (!meansLostPrimary(error)) return;
          onDistrust();
          this.closeAtOnce();
        });
      }
      return result;
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
  /** The URL of the host that the next connection tries. */
  url(): string;
  /** The host of that URL has failed: the next connection tries the one after it. */
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
