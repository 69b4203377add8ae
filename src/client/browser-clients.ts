import type { Transport } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-web';
import { type Credential, presentOf, withDefaults } from './call-defaults.ts';
import { type UserClients, userClients } from './user-clients.ts';

export type BrowserClientsOptions = {
  /**
   * URL of the server, such as `https://auth.example.com`. Its CORS_ORIGINS must name the origin of the page, unless
   * the page comes from the same origin.
   */
  url: string;
  /** The access token of the user. A page must never hold a service key or an API key. */
  accessToken?: Credential;
  /**
   * Deadline of a call that sets none, in milliseconds. Default 10,000, the longest that a server allows. Streams have
   * none.
   */
  timeoutMs?: number;
  /** Creates the transport, instead of Connect with JSON over fetch. */
  transport?: (url: string) => Transport;
};

const TIMEOUT_MS = 10_000;

/**
 * Typed clients for web pages. A failed call throws a ConnectError; `reasonOf` reads its reason.
 * @throws TypeError when the URL is invalid
 */
export function createClients(options: BrowserClientsOptions): UserClients {
  const { url, accessToken = '', timeoutMs = TIMEOUT_MS } = options;
  if (!/^https?:\/\//.test(url) || !URL.canParse(url)) throw new TypeError('url must begin with http:// or https://');
  const transport = options.transport?.(url) ?? createConnectTransport({ baseUrl: url });
  const headers = async (): Promise<Record<string, string>> => {
    const token = await presentOf(accessToken);
    return token === '' ? {} : { authorization: `Bearer ${token}` };
  };
  return userClients(withDefaults(transport, { timeoutMs, headers }));
}
