// `@latchkey/client/browser`: typed clients for web pages, over fetch. It imports nothing of Node.
export type { Violation } from '../domain/auth-error.ts';
export type { Reason } from '../domain/error-reason.ts';
export { type BrowserClientsOptions, createClients } from './browser-clients.ts';
export { reasonOf } from './reason-of.ts';
export { retryAfterOf } from './retry-after-of.ts';
export type { UserClients } from './user-clients.ts';
export { violationsOf } from './violations-of.ts';
