// Every request to a provider passes here: without redirects, and with bounded time and size.
import type { FetchBody } from 'openid-client';
import { ProviderUnavailable } from './provider.ts';

const TIMEOUT_MS = 5_000;
const MAX_BYTES = 64 * 1024;

type RequestOptions = { method?: string; headers?: Record<string, string>; body?: FetchBody };

/** @throws ProviderUnavailable */
export async function guardedFetch(url: string, { method, headers, body }: RequestOptions): Promise<Response> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const response = await fetch(url, {
      redirect: 'manual',
      signal,
      ...(method && { method }),
      ...(headers && { headers }),
      ...(body && { body }),
    });
    const bytes = await readBounded(response);
    const isUsable = response.status < 300 || (response.status >= 400 && response.status < 500);
    if (!isUsable) throw new ProviderUnavailable(`status ${response.status}`);
    const hasBody = ![101, 204, 205, 304].includes(response.status);
    return new Response(hasBody ? bytes : null, { status: response.status, headers: response.headers });
  } catch (cause) {
    throw cause instanceof ProviderUnavailable ? cause : new ProviderUnavailable('no response', { cause });
  }
}

async function readBounded(response: Response): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > MAX_BYTES) throw new ProviderUnavailable(`more than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}
