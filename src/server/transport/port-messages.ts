// The messages between a worker of `serve --workers` and its supervisor about the ports that all workers share.

export type ToSupervisor =
  | { kind: 'listen'; host: string; port: number }
  /** The worker has the connection, and has read nothing from it. */
  | { kind: 'confirmed' }
  | { kind: 'closed'; count: number }
  | { kind: 'pong' }
  | { kind: 'stop' };

export type ToWorker =
  | { kind: 'listening'; port: number }
  | { kind: 'failed'; error: SystemError }
  /** With a socket. */
  | { kind: 'connection' }
  | { kind: 'ping' }
  | { kind: 'retire'; count: number }
  /** No connection follows. */
  | { kind: 'stopped' };

/** The properties of an error of the system that its reader needs. */
export type SystemError = { message: string; code: string; port: number | null };

/** Messages of other parts of the service have other keys. The name is needed because the number can be 0. */
export type OfPort<T> = { latchkeyPort: string } & T;

export function isOfPort<T extends ToSupervisor | ToWorker>(message: unknown): message is OfPort<T> {
  return typeof message === 'object' && message !== null && 'latchkeyPort' in message;
}
