// The seam between Connect's handlers and the server under test.
import type { UniversalHandler } from '@connectrpc/connect/protocol';
import { nodeEngine } from './node-engine.ts';

export type EngineOptions = {
  /** By the path of the RPC. A request of another path has status 404. */
  handlers: ReadonlyMap<string, UniversalHandler>;
  /** HTTP/2 or HTTP/1.1. */
  isHttp2: boolean;
  tls: {
    cert: string;
    key: string;
    /** Clients must have a certificate of this authority. */
    clientAuthority: string | null;
  } | null;
};

/** Listens on 127.0.0.1. @returns its port */
export type Engine = (options: EngineOptions) => Promise<number>;

export const ENGINES: Record<string, Engine> = { node: nodeEngine };
